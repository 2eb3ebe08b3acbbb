"""How fast photos become vectors, beside the usual way, on the same photos with the same weights in one run.

    python benchmarks/encode.py speed PHOTOS [--side 1024] [--count 32]    photos/s and what they cost
    python benchmarks/encode.py pooling                                    R-MAC of all regions at once against the loop
    python benchmarks/encode.py memory PHOTOS [--count 5000]               resident memory while a folder is encoded

The usual way is one photo at a time in an eager float32 loop: Pillow decodes in full, torchvision's layout, a Python
loop over R-MAC's regions, the allocator as it comes.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

import reseen
from reseen.backbones import create_backbone
from reseen.descriptor import Descriptor
from reseen.descriptor.recipes import ImageSettings
from reseen.descriptor.runtime.engines import cpu_has_bfloat16, has_openvino
from reseen.heads.regions import region_grid
from reseen.heads.rmac import rmac
from reseen.images import walk


def photos_in(folder: str, count: int) -> list[str]:
    """``count`` photos of a folder, from the beginning again when there are fewer."""
    found = [os.fsdecode(item.path) for item in walk([folder]) if not item.ignored]
    return list(itertools.islice(itertools.cycle(found), count))


def loop_rmac(maps: torch.Tensor, levels: int = 3) -> torch.Tensor:
    """The published way: one region after the other."""
    total = maps.amax((2, 3))
    total = total / (total.norm(dim=1, keepdim=True) + 1e-6)
    for x0, y0, x1, y1 in region_grid(maps.shape[2], maps.shape[3], levels).tolist():
        region = maps[:, :, y0:y1, x0:x1].max(-1)[0].max(-1)[0]
        total = total + region / (region.norm(dim=1, keepdim=True) + 1e-6)
    return total


def usual(photos: list[str], side: int) -> np.ndarray:
    """One photo at a time, as most retrieval code does it."""
    net = create_backbone("efficientnet-lite0", ["head"], "bundled")
    rows = []
    with torch.no_grad():
        for path in photos:
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            image.thumbnail((side, side), Image.Resampling.LANCZOS)
            x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float().contiguous()
            maps = net((x - net.mean) / net.std)[0]
            rows.append(torch.nn.functional.normalize(loop_rmac(maps))[0].numpy())
    return np.stack(rows)


def ours(photos: list[str], side: int, engine: str, precision: str = "auto") -> tuple[Descriptor, np.ndarray, float]:
    """Our descriptor with the same network and head; (descriptor, vectors, seconds) of a second run."""
    descriptor = reseen.load("rmac-lite0", engine=engine, precision=precision)  # type: ignore[arg-type]
    recipe = descriptor.recipe
    descriptor = descriptor.replace(recipe=type(recipe)(**{**recipe.__dict__, "images": ImageSettings(longest=side)}))
    descriptor.encode(photos[:4])
    start = time.perf_counter()
    vectors = descriptor.encode(photos)
    return descriptor, vectors, time.perf_counter() - start


def speed(arguments: argparse.Namespace) -> None:
    """Photos/s of each way, and how far the vectors are from the usual way's."""
    photos = photos_in(arguments.photos, arguments.count)
    if arguments.only_usual:
        usual(photos[:2], arguments.side)
        start = time.perf_counter()
        vectors = usual(photos, arguments.side)
        np.save(arguments.only_usual, vectors)
        print(time.perf_counter() - start)
        return
    place = Path(arguments.scratch) / "usual.npy"
    # a process of its own: the allocator is set up for the whole process once ours has run
    command = [sys.executable, __file__, "speed", arguments.photos, "--side", str(arguments.side)]
    command += ["--count", str(arguments.count), "--only-usual", str(place)]
    seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    reference = np.load(place)
    place.unlink()
    machine = f"{torch.get_num_threads()} threads, bfloat16: {cpu_has_bfloat16()}"
    print(f"{len(photos)} photos at {arguments.side} px, {machine}")
    print(f"{'way':24s} {'photos/s':>9s} {'times':>6s} {'cosine mean':>12s} {'min':>8s}")
    print(f"{'the usual way':24s} {len(photos) / seconds:9.1f} {1:6.1f}")
    for engine in ("torch", *(["openvino"] if has_openvino() else [])):
        for precision in ("float32", *(["bfloat16"] if cpu_has_bfloat16() else [])):
            _, vectors, took = ours(photos, arguments.side, engine, precision)
            cosine = (vectors * reference).sum(1)
            name = f"encode, {engine} {precision}"
            print(
                f"{name:24s} {len(photos) / took:9.1f} {seconds / took:6.1f} {cosine.mean():12.5f} {cosine.min():8.5f}"
            )
    shares(photos, arguments.side)


def shares(photos: list[str], side: int) -> None:
    """Milliseconds a photo of decoding, network and pooling, one after the other."""
    from reseen.descriptor.runtime.engines import make_engine
    from reseen.images import Longest, load_photo, prepare

    engine = make_engine(create_backbone("efficientnet-lite0", ["head"], "bundled"))
    spent = dict.fromkeys(("decoding and resizing", "network", "pooling"), 0.0)
    for path in photos:
        marks = [time.perf_counter()]
        pixels = prepare(load_photo(path, at_least=side), Longest(side))
        marks.append(time.perf_counter())
        maps = engine(pixels[None])[0]
        marks.append(time.perf_counter())
        with torch.inference_mode():
            rmac(maps)
        marks.append(time.perf_counter())
        for name, a, b in zip(spent, marks, marks[1:], strict=False):
            spent[name] += b - a
    total = sum(spent.values())
    print("; ".join(f"{name} {1000 * s / len(photos):.1f} ms ({100 * s / total:.0f} %)" for name, s in spent.items()))


def pooling(arguments: argparse.Namespace) -> None:
    """R-MAC's pooling of maps of 1024 x 768 photos: all regions at once against the loop, photo by photo."""
    from reseen.descriptor.runtime.allocator import tune_allocator

    del arguments
    maps = torch.rand(8, 1280, 24, 32)
    plain = [maps[i : i + 1].contiguous() for i in range(8)]
    with torch.inference_mode():
        loops = {n: best(lambda n=n: [loop_rmac(m) for m in plain[:n]]) for n in (8, 1)}
        tune_allocator()
        fast = maps.contiguous(memory_format=torch.channels_last)
        for n in (8, 1):
            at_once = best(lambda n=n: rmac(fast[:n]))
            line = f"{n} maps of 32 x 24 x 1280: loop {1000 * loops[n]:.1f} ms, at once {1000 * at_once:.1f} ms"
            print(f"{line}, {loops[n] / at_once:.1f} times")


def best(function, repeats: int = 15) -> float:
    """Seconds of the fastest of a few runs."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def memory(arguments: argparse.Namespace) -> None:
    """Resident memory after every tenth of the photos."""
    photos = photos_in(arguments.photos, arguments.count)
    descriptor = reseen.load("default")
    page = os.sysconf("SC_PAGE_SIZE") / 1e6
    for item in descriptor.stream(photos):
        if (item.index + 1) % max(1, len(photos) // 10) == 0:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            print(f"{item.index + 1:6d} photos: {resident:.0f} MB", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for function, needs_photos, count in ((speed, True, 32), (pooling, False, 0), (memory, True, 5000)):
        verb = verbs.add_parser(function.__name__, help=function.__doc__)
        verb.set_defaults(run=function)
        if needs_photos:
            verb.add_argument("photos")
            verb.add_argument("--count", type=int, default=count)
    verbs.choices["speed"].add_argument("--side", type=int, default=1024)
    verbs.choices["speed"].add_argument("--scratch", default="/tmp")
    verbs.choices["speed"].add_argument("--only-usual", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
