"""`vexpress generate`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vexpress.flows.cli import published_options as published
from vexpress.flows.cli.options import ConfigOption, WeightsOption, plain_errors, setting, tell
from vexpress.inference.request import Request, VideoSettings
from vexpress.inference.settings import FAST, FAST_SOLVER, ModelChoice, Sampling
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import check, load_settings
from vexpress.tasks.generate.config import GenerateConfig, Parameters

SAMPLING, SPEED, MACHINE = "Sampling", "Faster, approximate", "Machine"
SIZE = VideoSettings()
AS_FAST = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in FAST.items())
sampling = partial(setting, Sampling, panel=SAMPLING)
faster = partial(setting, Sampling, panel=SPEED)
model = partial(setting, ModelChoice, panel=MACHINE)
machine = partial(typer.Option, rich_help_panel=MACHINE)


def generate(
    reference: Annotated[
        Path, setting(Request, "reference", "--reference", "--reference-image-path")
    ],
    audio: Annotated[Path, setting(Request, "audio", "--audio", "--audio-path")],
    out: Annotated[Path, setting(Request, "out", "--out", "--output-path")],
    kps: Annotated[Path | None, setting(Request, "kps", "--kps", "--kps-path")] = None,
    kps_fps: Annotated[float | None, setting(Request, "kps_fps")] = None,
    video: Annotated[Path | None, setting(Request, "video")] = None,
    strategy: Annotated[
        str | None, setting(VideoSettings, "strategy", "--retarget", "--retarget-strategy")
    ] = None,
    auto_crop: Annotated[bool | None, setting(VideoSettings, "auto_crop")] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Size of the video, pixels.",
            show_default=f"{SIZE.width}x{SIZE.height}",
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option("--image-width", help="In place of --size.", show_default=False)
    ] = None,
    height: Annotated[
        int | None, typer.Option("--image-height", help="In place of --size.", show_default=False)
    ] = None,
    fps: Annotated[float | None, setting(VideoSettings, "fps")] = None,
    median: Annotated[bool | None, setting(VideoSettings, "median")] = None,
    steps: Annotated[int | None, sampling("steps", "--steps", "--num-inference-steps")] = None,
    guidance: Annotated[
        float | None, sampling("guidance", "--guidance", "--guidance-scale")
    ] = None,
    reference_weight: Annotated[
        float | None,
        sampling("reference_weight", "--reference-weight", "--reference-attention-weight"),
    ] = None,
    audio_weight: Annotated[
        float | None, sampling("audio_weight", "--audio-weight", "--audio-attention-weight")
    ] = None,
    window: Annotated[int | None, sampling("window", "--window", "--context-frames")] = None,
    overlap: Annotated[int | None, sampling("overlap", "--overlap", "--context-overlap")] = None,
    published_length: Annotated[
        bool | None, setting(Request, "published_length", "--published-length", panel=SAMPLING)
    ] = None,
    seed: Annotated[int | None, setting(VideoSettings, "seed", panel=SAMPLING)] = None,
    solver: Annotated[str | None, setting(ModelChoice, "solver", panel=SPEED)] = None,
    fast: Annotated[
        bool,
        typer.Option("--fast", help=f"As --solver {FAST_SOLVER} {AS_FAST}.", rich_help_panel=SPEED),
    ] = False,
    guidance_share: Annotated[float | None, faster("guidance_share")] = None,
    reuse_every: Annotated[int | None, faster("reuse_every")] = None,
    preview_vae: Annotated[
        Path | None, setting(ModelChoice, "preview_vae", "--preview", panel=SPEED)
    ] = None,
    device: Annotated[
        list[str] | None,
        machine(help="cuda, cuda:1, cpu; repeat to share one video among several."),
    ] = None,
    gpu_id: Annotated[int | None, machine(min=0, help="As --device cuda:N.")] = None,
    all_gpus: Annotated[
        bool,
        machine(
            "--all-gpus",
            "--do-multi-devices-inference",
            help="Share one video among all GPUs.",
        ),
    ] = False,
    dtype: Annotated[str | None, model("dtype")] = None,
    memory: Annotated[str | None, setting(Sampling, "memory", panel=MACHINE)] = None,
    save_gpu_memory: Annotated[bool, machine("--save-gpu-memory", help="As --memory low.")] = False,
    windows_per_batch: Annotated[
        int | None, setting(Sampling, "windows_per_batch", panel=MACHINE)
    ] = None,
    compile_networks: Annotated[
        bool, machine("--compile", help="torch.compile the U-Net.")
    ] = False,
    face_model: Annotated[
        str | None, model("face_model", "--face-model", "--insightface-model-path")
    ] = None,
    preset: Annotated[str | None, setting(ModelChoice, "preset")] = None,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="GROUP.KEY=VALUE", help="One setting, such as `parameters.steps=15`."
        ),
    ] = None,
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
    standard_audio_sampling_rate: published.SamplingRate = None,
    context_stride: published.Stride = None,
) -> None:
    """Make a portrait speak: a picture and sound in, a video out.

    The head keeps still (fix_face), or moves like the face of --kps or --video. The video
    has the sound of --audio and its length.

    Example: vexpress generate --reference ref.jpg --audio aud.mp3 --kps kps.pth
    --retarget similarity_retarget --out talking.mp4
    """
    options = {name: value for name, value in locals().items() if value is not None}
    with plain_errors():
        published.check_rate_and_stride(standard_audio_sampling_rate, context_stride)
        loaded = load(options)
        make(request_of(options, loaded.parameters), loaded.model, options)


def load(options: dict[str, Any]) -> GenerateConfig:
    """Return the settings: a YAML file, overlaid by the options, by single settings."""
    parameters = size_of(options)
    parameters |= {name: options[name] for name in Parameters.model_fields if name in options}
    chosen = {name: options[name] for name in ModelChoice.model_fields if name in options}
    if options["save_gpu_memory"]:
        parameters["memory"] = "low"
    if options["fast"]:
        parameters |= FAST
        chosen["solver"] = FAST_SOLVER
    if "preview_vae" in options:
        parameters["preview"] = True
        chosen["preview_vae"] = str(options["preview_vae"])
    return load_settings(
        GenerateConfig,
        file=options.get("config"),
        options={"model": chosen, "parameters": parameters},
        single=options.get("settings", ()),
    )


def size_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return width and height of `--size`, where it is given."""
    if "size" not in options:
        return {}
    width, times, height = options["size"].lower().partition("x")
    if not (times and width.isdigit() and height.isdigit()):
        raise ConfigError(f"--size {options['size']}: expected WIDTHxHEIGHT, such as 512x512")
    return {"width": int(width), "height": int(height)}


def request_of(options: dict[str, Any], parameters: Parameters) -> Request:
    """Return the video that is asked for."""
    names = set(VideoSettings.model_fields)
    asked = {name: options[name] for name in Request.model_fields if name in options}
    how = parameters.model_dump(include=names, exclude_none=True)
    return check(Request, {**asked, **how, "sampling": parameters.sampling})


def make(request: Request, chosen: ModelChoice, options: dict[str, Any]) -> None:
    """Load the model, make the video, say what was made."""
    from vexpress.inference.generate import prepare, render
    from vexpress.inference.loading import choose_devices, detector_for, load_pipeline

    weights = options.get("weights")
    devices = choose_devices(options.get("device", ()), options.get("gpu_id"), options["all_gpus"])
    prepared = prepare(request, detector_for(chosen.face_model, weights))
    for note in prepared.notes:
        tell(note)
    preview = Path(chosen.preview_vae) if request.preview and chosen.preview_vae else None
    parts = published.parts_of(options)
    pipeline = load_pipeline(
        chosen.preset, weights, chosen.dtype, devices[:1], chosen.solver, preview, parts
    )
    vectors = pipeline.audio_projection.config.max_seq_len
    published.check_padding(options.get("num_pad_audio_frames"), vectors)
    if chosen.preset == "tiny":
        tell(TINY)
    if options["compile_networks"]:
        pipeline.denoising_unet.compile()
    result = render(prepared, pipeline, devices if len(devices) > 1 else ())
    rate = f"{prepared.request.fps:g} fps"
    typer.echo(f"{result.path}: {result.frames} frames at {rate}, made in {result.seconds:.1f} s")


TINY = "--preset tiny has random weights: it shows that everything runs, not what it can do"
