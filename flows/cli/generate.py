"""`vexpress generate`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli import published_options as published
from vexpress.flows.cli.options import WeightsOption, plain_errors


class Retarget(StrEnum):
    """As `vexpress.retarget.Strategy`, which is heavy to import."""

    fix_face = "fix_face"
    no_retarget = "no_retarget"
    offset_retarget = "offset_retarget"
    naive_retarget = "naive_retarget"
    similarity_retarget = "similarity_retarget"


class Dtype(StrEnum):
    """Number format of the networks."""

    auto = "auto"
    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class MemoryUse(StrEnum):
    """How much to keep on the device."""

    normal = "normal"
    low = "low"


class Model(StrEnum):
    """Which weights."""

    published = "published"
    tiny = "tiny"


class Solver(StrEnum):
    """As `vexpress.solvers.Solver`."""

    ddim = "ddim"
    unipc = "unipc"
    dpmpp = "dpmpp"


SAMPLING, SPEED, MACHINE = "Sampling", "Faster, approximate", "Machine"


def generate(
    reference: Annotated[
        Path,
        typer.Option(
            "--reference", "--reference-image-path", help="Portrait: one clear face, square."
        ),
    ],
    audio: Annotated[Path, typer.Option("--audio", "--audio-path", help="Speech, in any format.")],
    out: Annotated[Path, typer.Option("--out", "--output-path", help="The MP4 to write.")],
    kps: Annotated[
        Path | None,
        typer.Option("--kps", "--kps-path", help="Driving points, from `vexpress extract-kps`."),
    ] = None,
    kps_fps: Annotated[
        float | None,
        typer.Option(help="Frames a second of --kps, where no kps.pth.json beside it tells."),
    ] = None,
    video: Annotated[Path | None, typer.Option(help="Driving video, in place of --kps.")] = None,
    retarget: Annotated[
        Retarget,
        typer.Option(
            "--retarget",
            "--retarget-strategy",
            help="fix_face: a still head. no_retarget: the same person in both. "
            "offset_retarget: slight motion. naive_retarget: as published. "
            "similarity_retarget: another person's motion, kept in the frame.",
        ),
    ] = Retarget.fix_face,
    auto_crop: Annotated[bool, typer.Option(help="Crop the portrait around the face.")] = False,
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the video, pixels.")
    ] = "512x512",
    image_width: Annotated[int | None, typer.Option(help="In place of --size.")] = None,
    image_height: Annotated[int | None, typer.Option(help="In place of --size.")] = None,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    median: Annotated[bool, typer.Option(help="3x3x3 median against flicker.")] = True,
    steps: Annotated[
        int,
        typer.Option(
            "--steps", "--num-inference-steps", help="Denoising steps.", rich_help_panel=SAMPLING
        ),
    ] = 25,
    guidance: Annotated[
        float,
        typer.Option(
            "--guidance",
            "--guidance-scale",
            help="Guidance; up to 1 there is none.",
            rich_help_panel=SAMPLING,
        ),
    ] = 3.5,
    reference_weight: Annotated[
        float,
        typer.Option(
            "--reference-weight",
            "--reference-attention-weight",
            help="Likeness: 0.9 to 1.0.",
            rich_help_panel=SAMPLING,
        ),
    ] = 0.95,
    audio_weight: Annotated[
        float,
        typer.Option(
            "--audio-weight",
            "--audio-attention-weight",
            help="Motion of the mouth: 1.0 to 3.0.",
            rich_help_panel=SAMPLING,
        ),
    ] = 3.0,
    context_frames: Annotated[
        int, typer.Option(help="Frames denoised together.", rich_help_panel=SAMPLING)
    ] = 24,
    context_overlap: Annotated[
        int, typer.Option(help="Frames shared with the next window.", rich_help_panel=SAMPLING)
    ] = 4,
    published_length: Annotated[
        bool,
        typer.Option(
            "--published-length",
            help="Cut to whole windows and stretch the frame rate to the sound, as published.",
            rich_help_panel=SAMPLING,
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the noise.", rich_help_panel=SAMPLING)] = 42,
    solver: Annotated[
        Solver,
        typer.Option(help="unipc and dpmpp need fewer --steps.", rich_help_panel=SPEED),
    ] = Solver.ddim,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast",
            help="As --solver unipc --steps 12 --guidance-share 0.5 --reuse-every 2.",
            rich_help_panel=SPEED,
        ),
    ] = False,
    guidance_share: Annotated[
        float, typer.Option(help="Share of the steps with guidance.", rich_help_panel=SPEED)
    ] = 1.0,
    reuse_every: Annotated[
        int,
        typer.Option(help="Compute inner layers every so-manieth step.", rich_help_panel=SPEED),
    ] = 1,
    preview: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a tiny autoencoder (taesd) to decode with.", rich_help_panel=SPEED
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="cuda, cuda:1, cpu; repeat to share one video among several.",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    gpu_id: Annotated[
        int | None,
        typer.Option(min=0, help="As --device cuda:N.", rich_help_panel=MACHINE),
    ] = None,
    all_gpus: Annotated[
        bool,
        typer.Option(
            "--all-gpus",
            "--do-multi-devices-inference",
            help="Share one video among all GPUs.",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    dtype: Annotated[
        Dtype, typer.Option(help="auto: fp16 on a GPU, else fp32.", rich_help_panel=MACHINE)
    ] = Dtype.auto,
    memory: Annotated[
        MemoryUse,
        typer.Option(help="low: about as published --save_gpu_memory.", rich_help_panel=MACHINE),
    ] = MemoryUse.normal,
    save_gpu_memory: Annotated[
        bool,
        typer.Option("--save-gpu-memory", help="As --memory low.", rich_help_panel=MACHINE),
    ] = False,
    windows_per_batch: Annotated[
        int, typer.Option(help="Windows at once; for large GPUs.", rich_help_panel=MACHINE)
    ] = 1,
    compile_networks: Annotated[
        bool,
        typer.Option("--compile", help="torch.compile the U-Net.", rich_help_panel=MACHINE),
    ] = False,
    face_model: Annotated[
        str,
        typer.Option(
            "--face-model",
            "--insightface-model-path",
            help="insightface pack, by name or folder; without it dlib is used.",
            rich_help_panel=MACHINE,
        ),
    ] = "buffalo_l",
    preset: Annotated[
        Model,
        typer.Option(
            help="tiny: a tiny model with random weights, to try the command; no likeness."
        ),
    ] = Model.published,
    weights: WeightsOption = None,
    unet_config_path: published.UnetConfig = None,
    vae_path: published.Vae = None,
    audio_encoder_path: published.AudioEncoder = None,
    reference_net_path: published.ReferenceNet = None,
    denoising_unet_path: published.DenoisingUnet = None,
    v_kps_guider_path: published.VKpsGuider = None,
    audio_projection_path: published.AudioProjection = None,
    motion_module_path: published.MotionModule = None,
    num_pad_audio_frames: published.PadFrames = None,
    standard_audio_sampling_rate: published.SamplingRate = 16_000,
    context_stride: published.Stride = 1,
) -> None:
    """Make a portrait speak: a picture and sound in, a video out.

    The head keeps still (fix_face), or moves like the face of --kps or --video. The video
    has the sound of --audio and its length.

    Example: vexpress generate --reference ref.jpg --audio aud.mp3 --kps kps.pth
    --retarget similarity_retarget --out talking.mp4
    """
    with plain_errors():
        from pydantic import ValidationError

        from vexpress.errors import SettingsError
        from vexpress.inference.generate import Request, prepare, render
        from vexpress.inference.loading import choose_devices, detector_for, load_pipeline
        from vexpress.inference.settings import FAST, Sampling

        width, height = _size(size, image_width, image_height)
        published.check_rate_and_stride(standard_audio_sampling_rate, context_stride)
        devices = choose_devices(device or (), gpu_id, all_gpus)
        parts = published.parts_given(
            unet_config=unet_config_path,
            vae=vae_path,
            audio_encoder=audio_encoder_path,
            reference_net=reference_net_path,
            denoising_unet=denoising_unet_path,
            v_kps_guider=v_kps_guider_path,
            audio_projection=audio_projection_path,
            motion_module=motion_module_path,
        )
        try:
            given = {
                "steps": steps,
                "guidance": guidance,
                "reference_weight": reference_weight,
                "audio_weight": audio_weight,
                "window": context_frames,
                "overlap": context_overlap,
                "windows_per_batch": windows_per_batch,
                "memory": "low" if save_gpu_memory else memory.value,
                "guidance_share": guidance_share,
                "reuse_every": reuse_every,
            }
            sampling = Sampling(**(given | FAST if fast else given))
            request = Request(
                reference=reference,
                audio=audio,
                out=out,
                kps=kps,
                kps_fps=kps_fps,
                video=video,
                strategy=retarget.value,
                width=width,
                height=height,
                fps=fps,
                seed=seed,
                auto_crop=auto_crop,
                median=median,
                preview=preview is not None,
                published_length=published_length,
                sampling=sampling,
            )
        except ValidationError as error:
            raise SettingsError(_plainly(error)) from error
        prepared = prepare(request, detector_for(face_model, weights))
        for note in prepared.notes:
            typer.secho(f"note: {note}", fg="yellow", err=True)
        chosen = "unipc" if fast else solver.value
        pipeline = load_pipeline(
            preset.value, weights, dtype.value, devices[:1], chosen, preview, parts
        )
        published.check_padding(num_pad_audio_frames, pipeline.audio_projection.config.max_seq_len)
        if preset is Model.tiny:
            typer.secho(TINY, fg="yellow", err=True)
        if compile_networks:
            pipeline.denoising_unet.compile()
        result = render(prepared, pipeline, devices if len(devices) > 1 else ())
    rate = f"{prepared.request.fps:g} fps"
    typer.echo(f"{result.path}: {result.frames} frames at {rate}, made in {result.seconds:.1f} s")


TINY = "note: --preset tiny has random weights: it shows that everything runs, not what it can do"


def _size(size: str, width: int | None, height: int | None) -> tuple[int, int]:
    from vexpress.errors import SettingsError

    try:
        wide, high = (int(part) for part in size.lower().split("x"))
    except ValueError:
        raise SettingsError(f"--size {size}: expected WIDTHxHEIGHT, such as 512x512") from None
    return width or wide, height or high


def _plainly(error: object) -> str:
    """One line per wrong parameter."""
    from pydantic import ValidationError

    assert isinstance(error, ValidationError)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}, found {item['input']!r}"
        for item in error.errors(include_url=False)
    )
