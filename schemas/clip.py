"""A candidate for training, kept or rejected. Table `clips`, one row per candidate."""

from typing import Annotated, ClassVar, Literal

from vexpress.schemas.axis import Axis
from vexpress.schemas.row import Row, formerly
from vexpress.schemas.span import Listed

SEGMENT, HEAD = "The segment and its face", "How the head moves"
PICTURE, SOUND = "The picture", "The sound"
"""Headings of the charts in the report."""


class Clip(Row):
    """A segment of a scene. Every segment becomes a row; a rejected one says why."""

    TABLE: ClassVar[str] = "clips"

    clip_id: str
    """Hash of content, span, crop box and recipe: the same clip has the same id everywhere."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    source: str
    """Where the video is: an absolute path or a URI."""
    status: Literal["kept", "rejected"]
    """`kept`, or `rejected` with a reason."""
    reason: str | None = None
    """Why it was rejected: one of the reasons in `docs/data-set.md`."""
    detail: str | None = None
    """The same in a sentence: what was expected, what was found."""
    is_error: bool = False
    """Whether something failed (`vexpress retry` runs it again), not a rule that said no."""
    scene_index: int
    """The scene."""
    track_id: str | None = None
    """The face's track; null where the segment has none."""
    start_frame: int
    """First frame of the source."""
    end_frame: int
    """Frame of the source after the last."""
    start_s: float
    """Start, seconds from the start of the video."""
    end_s: float
    """End, seconds from the start of the video."""
    faces: Annotated[int, Axis(SEGMENT, "Faces at once")]
    """Most faces seen in one frame of the segment (far smaller ones not counted)."""
    next_face_away: Annotated[
        float | None, Axis(SEGMENT, "How near the next face comes", "face sides")
    ] = None
    """Least distance from this face's box to that of another face, in sides of this face; 0 where
    they touch; null where no other face counts."""
    has_sound: bool | None = None
    """Whether the source has a sound track."""
    sound_note: str | None = None
    """Which of the source's sounds it has, and what was done to it; null for the ordinary one."""
    picture_note: str | None = None
    """What was done to the source's picture: mirrored, deinterlaced, converted to BT.709."""
    from_hdr: bool | None = None
    """Whether the source is HDR (HLG or PQ), converted to BT.709; null in rows of version 0.1."""
    from_interlaced: bool | None = None
    """Whether the source is interlaced, and was deinterlaced; null in rows of version 0.1."""
    fps: float
    """Frame rate of the clip, frames per second."""
    frames: Annotated[int, Axis(SEGMENT, "Length")]
    """Frames of the clip at `fps`."""
    crop_x1: int | None = None
    """Left edge of the crop, source pixels (upright, square); may lie outside the picture."""
    crop_y1: int | None = None
    """Top edge of the crop, source pixels."""
    crop_x2: int | None = None
    """Right edge of the crop, exclusive, source pixels."""
    crop_y2: int | None = None
    """Bottom edge of the crop, exclusive, source pixels."""
    face_side_px: Annotated[float | None, Axis(SEGMENT, "Face side")] = None
    """Median over its frames of the square root of the face box's area, source pixels."""
    det_score_mean: Annotated[
        float | None, Axis(SEGMENT, "Detector score, mean", low=0.4, high=1)
    ] = None
    """Mean detector score over detected frames, 0..1."""
    det_score_min: Annotated[
        float | None, Axis(SEGMENT, "Detector score, least", low=0.4, high=1)
    ] = None
    """Least detector score over detected frames, 0..1."""
    gap_frames: Annotated[int | None, Axis(SEGMENT, "Frames without a detection")] = None
    """Source frames looked at in vain, bridged by interpolation."""
    face_share: Annotated[float | None, Axis(SEGMENT, "Face side over crop", high=1)] = None
    """Median longer side of the face box over the crop's side, 0..1."""
    yaw_deg: float | None = None
    """Median yaw, degrees, positive to the right of the picture; see `scores/head_pose.py`."""
    pitch_deg: float | None = None
    """Median pitch, degrees, positive downwards."""
    roll_deg: float | None = None
    """Median roll, degrees, positive clockwise."""
    yaw_p90_deg: Annotated[float | None, Axis(HEAD, "Yaw in 90 % of frames", high=90)] = None
    """Yaw, left or right, that 90 % of the source frames stay below, degrees."""
    pitch_p90_deg: Annotated[float | None, Axis(HEAD, "Pitch in 90 % of frames", high=90)] = None
    """Pitch, up or down, that 90 % of the source frames stay below, degrees."""
    roll_p90_deg: Annotated[float | None, Axis(HEAD, "Roll in 90 % of frames", high=90)] = None
    """Roll, either way, that 90 % of the source frames stay below, degrees."""
    yaw_max_deg: Annotated[float | None, Axis(HEAD, "Yaw, most", high=90)] = None
    """Largest yaw of any source frame, left or right, degrees."""
    head_motion: Annotated[float | None, Axis(HEAD, "Speed of the head", "face sides/s")] = None
    """Median speed of the face, face sides a second."""
    points_jitter: Annotated[float | None, Axis(SEGMENT, "Trembling of points", "face sides")] = (
        None
    )
    """How much the face's points tremble between frames, face sides: little where they are sure."""
    camera_motion: Annotated[
        float | None, Axis(HEAD, "Speed of the background", "clip sides/s")
    ] = None
    """Median speed of the background, clip sides a second; null where it has no texture."""
    sharpness: Annotated[float | None, Axis(PICTURE, "Sharpness of the face", high=1)] = None
    """Sharpness of the face, 0..1 (Crété et al. 2007), median over frames; 0.2 is a blur."""
    image_quality: Annotated[float | None, Axis(PICTURE, "Image-quality network")] = None
    """Score of the image-quality network (hyperIQA: 0..100); null without weights."""
    noise: Annotated[float | None, Axis(PICTURE, "Noise", "levels of 255")] = None
    """Noise in calm parts, standard deviation in levels of 255, median over frames."""
    blockiness: Annotated[float | None, Axis(PICTURE, "Blocks of compression")] = None
    """How far block edges of the source's compression stand out, shares of the usual step between
    neighbouring pixels; null where the crop shrank the source too much to tell."""
    face_luma: Annotated[float | None, Axis(PICTURE, "Brightness of the face", high=1)] = None
    """Mean luma of the face, 0..1, median over frames."""
    dark_share: Annotated[float | None, Axis(PICTURE, "Black in the face", high=1)] = None
    """Share of the face's pixels that are black, 0..1, median over frames."""
    light_share: Annotated[float | None, Axis(PICTURE, "White in the face", high=1)] = None
    """Share of the face's pixels that are white, 0..1, median over frames."""
    repeat_share: Annotated[float | None, Axis(PICTURE, "Repeated frames", high=1)] = None
    """Share of frames that repeat the one before, 0..1."""
    freeze_s: Annotated[float | None, Axis(PICTURE, "Longest freeze")] = None
    """Longest run of repeated frames, seconds."""
    border_share: Annotated[float | None, Axis(PICTURE, "Border", high=1)] = None
    """Share of the clip that is a burnt-in border (letterbox) or lies outside the source, 0..1."""
    overlay_share: Annotated[float | None, Axis(PICTURE, "Titles over face and chest", high=1)] = (
        None
    )
    """Share of face and chest covered by edges that stand still, as of titles and logos, 0..1."""
    text_share: Annotated[float | None, Axis(PICTURE, "Burnt-in text", high=0.2)] = None
    """Share of the picture that is burnt-in text, 0..1, mean over a frame in 2 s; null without the
    network."""
    speech_share: Annotated[float | None, Axis(SOUND, "Speech share", high=1)] = None
    """Share of the clip that is speech by Silero VAD, 0..1."""
    speaking_share: Annotated[float | None, Axis(SOUND, "Spoken by this face", high=1)] = None
    """Share of the clip's speech that its face speaks, 0..1; null where that is not known."""
    other_speaking_share: Annotated[float | None, Axis(SOUND, "Spoken by another face", high=1)] = (
        None
    )
    """Share of the clip's speech during which another face of the source's picture speaks, 0..1."""
    unseen_speaking_share: Annotated[
        float | None, Axis(SOUND, "Spoken by nobody who is seen", high=1)
    ] = None
    """Share of the clip's speech that no face of the source's picture speaks (voice-over), 0..1."""
    speaker_known: bool | None = None
    """Of a clip with several faces in its source: whether it is known who of them speaks."""
    speaking_backend: str | None = None
    """What told who speaks: `lr_asd` (frame by frame) or `lips` (lip shape, for whole clips)."""
    speech_mos: Annotated[float | None, Axis(SOUND, "Quality of the speech", low=1, high=5)] = None
    """How people would rate the speech itself, 1..5 (DNSMOS P.835); null without the network."""
    background_mos: Annotated[
        float | None, Axis(SOUND, "Quietness of the background", low=1, high=5)
    ] = None
    """How people would rate the background, 1 (very intrusive) .. 5 (not noticeable)."""
    overall_mos: Annotated[float | None, Axis(SOUND, "Quality of the sound", low=1, high=5)] = None
    """How people would rate the sound as a whole, 1..5."""
    audio_rms_db: Annotated[float | None, Axis(SOUND, "Level", low=-80, high=0)] = None
    """Level of the sound, dB relative to full scale (-120 is silence)."""
    audio_peak_db: float | None = None
    """Peak of the sound, dB relative to full scale."""
    silence_share: float | None = None
    """Share of 20 ms windows below -50 dB, 0..1."""
    audio_duration_s: float | None = None
    """Length of the sound, seconds."""
    sync_offset_frames: Annotated[
        float | None, Axis(SOUND, "Sound after lips", "frames of 1/25 s", low=-15, high=15)
    ] = None
    """How late the source's sound is, heard after the lips moved (negative: early), frames of
    1/25 s; null where nobody can be sure."""
    sync_confidence: Annotated[float | None, Axis(SOUND, "How sure the offset is")] = None
    """How sure the offset is. `syncnet`: median less least distance. `lips`: the peak of the
    correlation in standard deviations of what chance gives."""
    sync_backend: str | None = None
    """What compared sound and lips: `syncnet` or `lips` (lip shape, no weights)."""
    sync_known: bool | None = None
    """Whether the offset is sure enough to be believed; null without sound."""
    sync_repaired_frames: float | None = None
    """By how much later the clip's sound was cut from the source, so that it fits, frames of
    1/25 s: the offset, or 0; null where it is not known."""
    sync_off_by_frames: Annotated[
        float | None, Axis(SOUND, "Still apart after the repair", "frames of 1/25 s", high=15)
    ] = None
    """How far sound and lips of the clip are still apart, frames of 1/25 s, never negative; 0
    where the offset is too small to be told from the back end's error (`tasks/curate/sync.py`)."""
    sync_note: str | None = None
    """Why there is no offset."""
    audio_hash: str | None = None
    """Hash of the WAV: words and features are those of this sound."""
    language: str | None = None
    """Language that is spoken, ISO 639-1 as Whisper names it; null where nothing was heard."""
    language_score: float | None = None
    """Probability of that language, 0..1; null where it was given, or the model knows but one."""
    transcript: str | None = None
    """What is said; null where nothing was transcribed, empty where that repeated itself."""
    words: int | None = None
    """Words of the clip in the table `words`."""
    speech_note: str | None = None
    """What transcribed (back end, model, digest), or why nothing did."""
    media_path: str | None = None
    """H.264 clip with sound, relative to the data set."""
    audio_path: str | None = None
    """16 kHz mono WAV, relative to the data set."""
    features_path: str | None = None
    """wav2vec2 embeddings (`global_embeds`), relative to the data set; null where skipped."""
    features_note: str | None = None
    """The model that made the features, or why there are none."""
    listed: Listed | None = None
    """What a list says of the clip's span; None where the source was no row of such a list."""

    def further_columns(self) -> dict[str, str]:
        """The list's own columns."""
        return self.listed.source_columns if self.listed else {}
