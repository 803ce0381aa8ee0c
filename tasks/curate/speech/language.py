"""Languages by the codes that Whisper gives them: `en`, `de`, `zh`, `yue`."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def whisper_code(value: Any) -> str:
    """Return a code that Whisper knows; YAML reads `no` without quotes as false.

    Raises ValueError for any other value, with the code where `value` is a language's name.
    """
    from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

    code = "no" if value is False else str(value)
    if code in LANGUAGES:
        return code
    meant = TO_LANGUAGE_CODE.get(code.lower()) or code[:2].lower()
    hint = f"; {LANGUAGES[meant]} is `{meant}`" if meant in LANGUAGES else ""
    raise ValueError(f"expected a language as Whisper codes it, such as `en` or `zh`{hint}")


Language = Annotated[str, BeforeValidator(whisper_code)]
"""A language that Whisper may find."""
