"""The command line: ``python -m sklearn_ot.vision color-transfer`` and ``translate``, each SOURCE TARGET RESULT."""

import argparse
import sys
from pathlib import Path

import numpy as np

from sklearn_ot.metrics import wasserstein_distance
from sklearn_ot.vision._collection import grid, picture_files, read_pictures
from sklearn_ot.vision._color_transfer import ColorTransfer
from sklearn_ot.vision._files import (
    MAX_PIXELS,
    check_ending,
    new_folder,
    read_picture,
    write_picture,
    written_together,
)
from sklearn_ot.vision._panel import panel
from sklearn_ot.vision._pictures import kind_of, n_colors_of, to_unit
from sklearn_ot.vision._report import LEAST_PICTURES
from sklearn_ot.vision._sample import draw_colors
from sklearn_ot.vision._translator import ImageTranslator

# An exact plan of so many pixels takes a few seconds.
N_REPORTED = 2000


def parser() -> argparse.ArgumentParser:
    """The parser of the arguments."""
    whole = argparse.ArgumentParser(prog="python -m sklearn_ot.vision", description="Transport between pictures.")
    commands = whole.add_subparsers(dest="command", required=True)
    command = commands.add_parser(
        "color-transfer", help="give SOURCE the colours of TARGET", description="Give SOURCE the colours of TARGET."
    )
    command.set_defaults(run=color_transfer)
    command.add_argument("source", help="the picture to change")
    command.add_argument("target", help="the picture with the colours")
    command.add_argument("result", help="the file to write: .png, .tif, .jpg or .webp")
    command.add_argument("--amount", type=float, default=1.0, help="part of the way, from 0 to 1 (1)")
    command.add_argument(
        "--smooth", type=float, default=12.0, help="largest deviation of a flat region, in levels of 255; 0: none (12)"
    )
    command.add_argument("--keep-luminance", action="store_true", help="change hue and saturation only")
    command.add_argument("--mask", help="picture of the size of SOURCE: only pixels above half of white are fitted")
    command.add_argument("--target-mask", help="the same for TARGET")
    command.add_argument("--cube", help="also write the map as a table (.cube), without the smoothing")
    command.add_argument("--compare", help="also write a panel with source, target and result")
    command.add_argument("--report", action="store_true", help="print distances of the colours before and after")
    add_translate(commands)
    for command in commands.choices.values():
        command.add_argument("--force", action="store_true", help="replace files that exist")
        command.add_argument("--max-pixels", type=int, default=MAX_PIXELS, help=f"largest picture ({MAX_PIXELS})")
        command.add_argument("--random-state", type=int, default=0, help="seed (0)")
        command.add_argument("--quiet", action="store_true", help="no progress bar")
    return whole


def add_translate(commands) -> None:
    """Add the command ``translate``."""
    text = (
        "Translate the pictures of the folder SOURCE to pictures like those of the folder TARGET, which are no pairs."
    )
    command = commands.add_parser("translate", help="translate a folder of pictures to another kind", description=text)
    command.set_defaults(run=translate)
    command.add_argument("source", help="a folder of pictures")
    command.add_argument("target", help="a folder of pictures of the other kind")
    command.add_argument("result", help="the folder to write to: a .png file for each picture of SOURCE")
    command.add_argument("--size", type=int, default=64, help="the middle square is resized to so many pixels (64)")
    command.add_argument("--inverse", action="store_true", help="translate TARGET to SOURCE instead, by the inverse")
    command.add_argument("--amount", type=float, default=1.0, help="part of the way, from 0 to 1 (1)")
    command.add_argument(
        "--network", choices=["patches", "conv", "none"], default="patches", help="the second map (patches)"
    )
    command.add_argument("--mirror", action="store_true", help="also fit to the mirrored pictures")
    command.add_argument("--compare", help="also write a grid of pictures and their translations")
    command.add_argument(
        "--report", action="store_true", help="hold out a fifth of the pictures, and print distances of these"
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments; those of the process if None.

    Returns
    -------
    status : int
        0, or 1 if it failed. Then there is one line on the standard error, and no file has changed.
    """
    args = parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def color_transfer(args: argparse.Namespace) -> None:
    """Transfer colours between files."""
    source = read_picture(args.source, args.max_pixels)
    check_ending(args.result, source.mode)
    if args.compare:
        check_ending(args.compare, "RGB")
    results = [path for path in (args.result, args.cube, args.compare) if path]
    with written_together(results, args.force) as parts:
        target = read_picture(args.target, args.max_pixels, source.kept.get("icc_profile"))
        n_colors = [n_colors_of(picture.pixels) for picture in (source, target)]
        if n_colors[0] != n_colors[1]:
            raise ValueError(
                f"{args.source} is {kind_of(n_colors[0])} and {args.target} is {kind_of(n_colors[1])}: convert one."
            )
        masks = [read_mask(path, args.max_pixels) for path in (args.mask, args.target_mask)]
        transfer = ColorTransfer(
            amount=args.amount,
            smooth=args.smooth,
            keep_luminance=args.keep_luminance,
            random_state=args.random_state,
            verbose=not args.quiet,
        ).fit(source.pixels, target.pixels, masks=masks)
        pixels = transfer.transform(source.pixels)
        write_picture(parts[args.result], pixels, source.kept)
        if args.cube:
            transfer.to_cube(parts[args.cube])
        if args.compare:
            write_picture(parts[args.compare], panel(source.pixels, target.pixels, pixels), {})
        if args.report:
            report(source.pixels, target.pixels, pixels, transfer)


def translate(args: argparse.Namespace) -> None:
    """Translate a folder of pictures."""
    if args.size < 1:
        raise ValueError(f"--size {args.size}: must be at least 1.")
    if args.compare:
        check_ending(args.compare, "RGB")
    if args.inverse and args.amount != 1:
        raise ValueError("--amount: the inverse map goes the whole way; leave it out.")
    files = [picture_files(folder) for folder in (args.source, args.target)]
    moved = files[args.inverse]
    results = [str(Path(args.result) / f"{path.stem}.png") for path in moved]
    with new_folder(args.result), written_together(results + [args.compare] * bool(args.compare), args.force) as parts:
        sides = [read_pictures(side, args.size, args.max_pixels) for side in files]
        fitted, held_out = sides, None
        if args.report:
            fitted, held_out = zip(*(split(side, args.random_state) for side in sides), strict=True)
        network = None if args.network == "none" else args.network
        options = {"mirror": args.mirror, "random_state": args.random_state, "verbose": not args.quiet}
        translator = ImageTranslator(network, **options).fit(*fitted)
        pictures = sides[args.inverse]
        if args.inverse:
            translated = translator.inverse_transform(pictures)
        else:
            translated = translator.interpolate(pictures, args.amount)
        for path, picture in zip(results, translated, strict=True):
            write_picture(parts[path], picture, {})
        if args.compare:
            write_picture(parts[args.compare], grid([pictures, translated]), {})
        if args.report:
            print(translator.report(*held_out))


def split(pictures: np.ndarray, random_state: int) -> tuple[np.ndarray, np.ndarray]:
    """Four fifths of the pictures, and the rest."""
    if len(pictures) < 5 * LEAST_PICTURES:
        raise ValueError(f"--report: needs {5 * LEAST_PICTURES} pictures of each side, and one has {len(pictures)}.")
    order = np.random.RandomState(random_state).permutation(len(pictures))
    n_fitted = len(pictures) - len(pictures) // 5
    return pictures[order[:n_fitted]], pictures[order[n_fitted:]]


def read_mask(path: str | None, max_pixels: int) -> np.ndarray | None:
    """The pixels of a picture that are brighter than half of white; None without a file."""
    if path is None:
        return None
    pixels = to_unit(read_picture(path, max_pixels).pixels)
    return pixels > 0.5 if pixels.ndim == 2 else pixels[..., 0] > 0.5


def report(source: np.ndarray, target: np.ndarray, result: np.ndarray, transfer: ColorTransfer) -> None:
    """Print Wasserstein-2 distances between colours, in levels of 255, and the error of a table if there is one."""

    def colors(picture, seed):
        return 255 * draw_colors([picture], [None], N_REPORTED, np.random.RandomState(seed), "picture").colors

    print(f"Wasserstein-2 distance of {N_REPORTED} pixels to the target, in levels of 255")
    for name, picture, seed in (("source", source, 1), ("result", result, 1), ("target itself", target, 2)):
        print(f"  {name:<14}{wasserstein_distance(colors(picture, seed), colors(target, 3)):7.2f}")
    if source.dtype != np.uint8:
        print(f"Mean error of the table: {transfer.table_error_:.2f} levels of 255")


if __name__ == "__main__":
    sys.exit(main())
