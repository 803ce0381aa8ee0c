"""Decode pictures so that the same file gives the same pictures, on any number of cores.

A decoder with frame threads tells of damage while the frame is still being decoded: whether
a frame is flagged then depends on chance, and damaged ones are concealed in another way. So
one thread decodes; what is around it (`prefetch`) runs beside it.
"""

import contextlib
import queue
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

import av

T = TypeVar("T")


def decode(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of `stream` in the order shown, and None where one is damaged.

    After damage, frames are left out until the next key frame: they were predicted from what
    is not there. What cannot be decoded before the first whole frame, as where a recording
    begins between key frames, is left out silently.
    """
    use_one_thread(stream)
    begun, broken = False, False
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            frames = [None]
        for frame in frames:
            if frame is None or frame.is_corrupt:
                if begun:
                    broken = True
                    yield None
            elif frame.key_frame or not broken:
                begun, broken = True, False
                yield frame


def use_one_thread(stream: Any) -> None:
    """Have a stream decoded by one thread, unless decoding has begun."""
    if not stream.codec_context.is_open:
        stream.codec_context.thread_count = 1


def prefetch(items: Iterator[T], depth: int = 8) -> Iterator[T]:
    """Yield `items`, made by another thread up to `depth` ahead."""
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop, end = threading.Event(), object()

    def fill() -> None:
        try:
            for item in items:
                _put(ready, (item, None), stop)
                if stop.is_set():
                    return
            _put(ready, (end, None), stop)
        except BaseException as error:
            _put(ready, (end, error), stop)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _put(ready: "queue.Queue[Any]", item: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(item, timeout=0.1)
            return
