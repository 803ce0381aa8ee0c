"""Write the demo's input: `python -m tests.talking_heads FOLDER`."""

import argparse
from pathlib import Path

from tests.helpers.broken_videos import make_broken_videos
from tests.talking_heads.demo import render_demo


def main() -> None:
    """Render the videos with their truth, and the broken ones under `broken/`."""
    parser = argparse.ArgumentParser(prog="python -m tests.talking_heads", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where to write; made if absent")
    folder = parser.parse_args().folder
    render_demo(folder)
    broken = make_broken_videos(folder / "broken", folder / "talking_head.mp4")
    print(f"5 rendered videos with their truth, and {len(broken)} broken or odd ones, in {folder}")


if __name__ == "__main__":
    main()
