"""Small clips of real people for the overfit proof, with log-mel features instead of wav2vec2.

wav2vec2-base-960h is not at hand; 32 log-mel bands at 50 frames a second carry the sound
instead. They are deterministic, and the model learns from them from nothing.
"""

from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import save_file
from scipy.signal import stft

from vexpress.faces.backends import load_face_detector
from vexpress.training.clips import ClipFiles, TrainingClip, write_index
from vexpress.training.lips import lip_boxes

BANDS, RATE, SIDE = 32, 16_000, 64
DECODER_STEPS, DECODER_RATE = 150, 3e-4


def write_clips(assets: Path, folder: Path, names: list[str], frames: int) -> None:
    """Write `frames` frames of each sample at 64x64 and the index of all."""
    pack = assets / "models/insightface/models/scrfd_2.5g"
    detector = load_face_detector("insightface", str(pack))
    clips = []
    for name in names:
        source = assets / "vexpress_samples" / name
        pictures, fps = read_pictures(source / "gt.mp4", frames)
        found = [detector.detect(picture[..., ::-1])[0].points for picture in pictures]
        points = (np.stack(found) + 0.5) * SIDE / pictures[0].shape[0] - 0.5
        small = [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures]
        write_video(folder / f"{name}.mp4", small, fps)
        vectors = log_mel(read_sound(source / "aud.mp3"), len(small) / fps)
        save_file({"global_embeds": vectors[:, None]}, folder / f"{name}.safetensors")
        files = ClipFiles(
            clip_id=name,
            video=str(folder / f"{name}.mp4"),
            sound=str(folder / f"{name}.safetensors"),
            group=name,
            frames=len(small),
            width=SIDE,
            height=SIDE,
            lips="mouth corners of five points",
        )
        clips.append(TrainingClip(files, points[:, :3].astype(np.float32), lip_boxes(points)))
    write_index(folder / "clips.safetensors", clips)


def fit_decoder(taesd: Path, out: Path, folder: Path, names: list[str], steps: int) -> None:
    """Fit TAESD's decoder to the clips' pictures, and save the autoencoder to `out`.

    The encoder stays, so the latents are TAESD's.
    """
    vae = AutoencoderTiny.from_pretrained(taesd)
    frames = [p for n in names for p in read_pictures(folder / f"{n}.mp4", 10_000)[0]]
    pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        latents = torch.cat([vae.encode(part).latents for part in pictures.split(8)])
    optimiser = torch.optim.Adam(vae.decoder.parameters(), lr=DECODER_RATE)
    random = torch.Generator().manual_seed(0)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = DECODER_RATE * (1 - step / steps)
        picked = torch.randint(len(pictures), (6,), generator=random)
        loss = (vae.decode(latents[picked]).sample - pictures[picked]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    vae.save_pretrained(out)


def read_pictures(path: Path, frames: int) -> tuple[list[np.ndarray], float]:
    """First frames as RGB, and the frame rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoded = container.decode(stream)
        pictures = [f.to_ndarray(format="rgb24") for f in islice(decoded, frames)]
        return pictures, float(stream.average_rate)


def read_sound(path: Path) -> np.ndarray:
    """Mono at 16 kHz, float32."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        parts = [
            r.to_ndarray()[0] for f in container.decode(audio=0) for r in resampler.resample(f)
        ]
    return np.concatenate(parts)


def log_mel(sound: np.ndarray, seconds: float) -> torch.Tensor:
    """Standardised log-mel energies, float32 (50 · seconds, BANDS)."""
    _, _, spectrum = stft(sound, RATE, nperseg=640, noverlap=320, boundary=None)
    edges = 700 * (10 ** (np.linspace(0, 2840, BANDS + 2) / 2595) - 1) / (RATE / 2) * 320
    bins = np.arange(spectrum.shape[0])
    filters = np.stack([np.interp(bins, edges[b : b + 3], [0, 1, 0]) for b in range(BANDS)])
    energies = np.log(filters @ np.abs(spectrum) ** 2 + 1e-8).T
    energies = (energies - energies.mean()) / energies.std()
    return torch.from_numpy(energies[: round(50 * seconds)]).float().contiguous()


def write_video(path: Path, pictures: list[np.ndarray], fps: float) -> None:
    """Write RGB pictures as nearly lossless H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv444p", {"crf": "5", "g": "12"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
