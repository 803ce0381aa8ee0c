"""Rendered speech with the exact times of its words."""

import numpy as np

from tests.talking_heads import Shot, Speech
from tests.talking_heads.sound import mix, utterances
from tests.talking_heads.voice import speak

SENTENCES = (
    "The morning train was late again, so nobody on the platform was surprised.",
    "Seven people asked whether the office would open before the holiday.",
    "She thought about the question, looked out of the window, and said nothing.",
    "After twenty years in the harbour the captain sold his ship and bought a small farm.",
    "It is strange how quickly a city changes when the lights go out.",
    "Fresh fish, soft cheese and a bottle of cider stood on the table.",
    "If you push this switch twice the pump stops, and the pressure falls.",
    "We measured the distance from the church to the bridge, which was six hundred metres.",
    "Nothing in his letter explained why the shop had been shut since Christmas.",
    "My sister speaks Swedish, Spanish and a little Japanese.",
    "The first experiment failed because the sensor was much too hot.",
    "Listen to the sound of the sea, then tell me what you hear.",
)


def say(
    texts: tuple[str, ...], voice: str, rate: int, pause_s: float = 0.5
) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Speak one text after the other: sound at `rate` Hz, and words with start and end in it."""
    said: list[Speech] = []
    end_s = pause_s
    for text in texts:
        said.append(Speech(text=text, start_s=end_s, voice=voice))
        end_s += len(speak(text, voice).samples) / speak(text, voice).rate + pause_s
    spoken = utterances([Shot(duration_s=end_s, speech=tuple(said))], [0.0], rate)
    words = [(w, one.start_s + a, one.start_s + b) for one in spoken for w, a, b in one.words]
    return mix(spoken, end_s, rate), words
