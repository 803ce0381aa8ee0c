"""Why sources and candidates are rejected, in plain words."""

REASONS = {
    # sources
    "not_a_file": "The name leads to no file: a folder, a link that ends nowhere, or a device.",
    "empty": "The file has no bytes.",
    "unreadable": "The file cannot be opened as a video.",
    "no_video_stream": "There is sound or text in the file, but no pictures.",
    "no_frames": "There is a video stream, but not one picture of it can be decoded.",
    "too_large": "The header claims pictures larger than any real video has.",
    "truncated": "The file ends early: a copy or a download was cut off.",
    "duplicate": "The same content as another source, or the same as a clip that is kept.",
    "clock_jumps": "The file's clock jumps, and sound and picture cannot be told to fit.",
    "damaged": "Too many frames cannot be decoded.",
    # candidates
    "no_face": "No face was found in this stretch.",
    "several_faces": "More than one face is seen at once, so it is unclear who speaks.",
    "no_sound": "The source has no sound track, and lips cannot be learnt without one.",
    "too_short": "The stretch has too few frames to train on.",
    "small_face": "The face has too few pixels in the source to fill a clip sharply.",
    "low_score": "The detector doubts that this is a real, well visible face.",
    "gaps": "The face was lost in too many frames and had to be interpolated.",
    "small_in_crop": "The head moves so far that its face fills too little of the clip.",
    "turned_away": "The head is turned too far to the side for too long.",
    "blurred": "The face is blurred.",
    "poor_picture": "The image-quality network finds the picture poor.",
    "blocky": "The source was compressed so much that its blocks show.",
    "dark": "The face is too dark.",
    "overexposed": "Too much of the face is white.",
    "frozen": "The picture freezes, or too many frames repeat the one before.",
    "shaking": "The camera moves.",
    "border": "Too much of the clip is a burnt-in border, or lies outside the picture.",
    "overlay": "A title or logo covers face or chest.",
    "little_speech": "Too little of the stretch is speech.",
    "language": "Another language is spoken than was asked for.",
    "out_of_sync": "Sound and lips are further apart than is repaired.",
    "unsure_sync": "Nobody can say whether sound and lips are in time.",
    "not_measured": "The pre-filter let it not pass, so it was never cropped; these rules might.",
    # requests to generate
    "no_file": "A file that the request names is not there.",
    "not_allowed": "The request names a file that it may not read.",
    "no_clip": "The request names a clip that the data set does not have.",
    "bad_portrait": "The reference picture cannot be read as a portrait.",
    "bad_sound": "The sound cannot be read.",
    "bad_points": "The driving points cannot be read.",
    "bad_settings": "The request's settings do not fit together or are not known.",
    "too_long": "The request asks for more than is allowed at once.",
    # failures
    "crashed": "The worker died on this input several times; it is set aside.",
    "failed": "A step failed on this input; `vexpress retry` runs it again.",
}
"""Sentence for each reason that a step gives."""


def explain(reason: str | None) -> str:
    """Return the sentence for `reason`; of a reason unknown here, say so."""
    return REASONS.get(reason or "", "A reason that this version does not know.")
