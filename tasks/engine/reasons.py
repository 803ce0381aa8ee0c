"""What the reasons of a `Rejection`, and of a request or number that failed, mean.

Reasons of thresholds are not here: their words stand beside each `Rule` in
`tasks/curate/filter.py`.
"""

SOURCES = {
    "not_a_file": "The name leads to no file: a folder, a link that ends nowhere, or a device.",
    "empty": "The file has no bytes.",
    "unreadable": "The file cannot be opened as a video.",
    "no_video_stream": "There is sound or text in the file, but no pictures.",
    "no_frames": "There is a video stream, but not one picture of it can be decoded.",
    "too_large": "The header claims pictures larger than any real video has.",
    "truncated": "The file ends early: a copy or a download was cut off.",
    "clock_jumps": "The file's clock jumps, and sound and picture cannot be told to fit.",
    "outside": "The listed span does not lie within the video.",
    "overlap": "The listed span overlaps another of the list, of the same face.",
    "mixed": "The data set has the whole file already, or spans of it; take another data set.",
    "other_frames": "The listed span has other frames in this file: it is not the listed one.",
    "damaged": "Too many frames cannot be decoded.",
}
"""Reasons of sources; a candidate can be `damaged` too."""
CANDIDATES = {
    "no_face": "No face was found.",
    "several_faces": "Another face is so near that no square shows this one alone.",
    "duplicate": "The same content as another source, or the same as a clip that is kept.",
}
"""Reasons of candidates that no threshold decides."""
REQUESTS = {
    "not_a_file": "A name in the request leads to no file: a folder, or a device.",
    "too_large": "A picture or video of the request is larger than is read.",
    "no_file": "A file that the request names is not there.",
    "not_allowed": "The request names a file that it may not read.",
    "no_clip": "The request names a clip that the data set does not have.",
    "bad_portrait": "The reference picture cannot be read as a portrait.",
    "bad_sound": "The sound cannot be read.",
    "bad_points": "The driving points cannot be read.",
    "bad_settings": "The request's settings do not fit together or are not known.",
    "bad_input": "An input of the request cannot be used.",
    "too_long": "The request asks for more than is allowed at once.",
    "out_of_memory": "The video did not fit into memory.",
    "changed": "The inputs changed while the video was made.",
}
"""Reasons of requests to generate."""
NUMBERS = {
    "no_video": "The generated video is not there.",
    "no_reference": "The request's portrait cannot be read.",
    "no_points": "The points that were asked for are not known.",
    "no_model": "The weights of the model that measures this are not here.",
    "no_frames": "No picture of the video can be decoded.",
    "no_face": "No face was found in the video, or none in its portrait.",
    "no_eyes": "The eyes that were asked for fall together in some frame.",
    "no_sound": "The video has no sound that can be read.",
    "too_short": "The video has too few frames.",
    "too_few": "There are too few videos to compare.",
    "not_25_fps": "The model measures videos of 25 frames a second alone.",
    "flat_reference": "The portrait is one flat colour.",
    "cannot_tell": "No offset of sound and lips stands out.",
}
"""Reasons of evaluations without a number."""
FAILURES = {
    "crashed": "The worker died on this input several times; it is set aside.",
    "failed": "A step failed on this input; `vexpress retry` runs it again.",
}
"""Reasons of anything that broke."""
