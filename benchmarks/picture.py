"""The picture of README: the first screen of a report's page, by a headless Chromium.

::

    make eval report
    harness bench picture --page report.html --output docs/report.png
"""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.core.options import bench_parser, positive
from benchmarks.core.report import guarded
from harness.core.errors import UsageError

#: What Debian and others call it.
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Seconds after which a browser has failed.
PATIENCE = 60


def draw(page: Path, output: Path, width: int, height: int) -> int:
    """Write the first screen of a page as PNG, whole or not at all, and return its bytes.

    Args:
        page: an HTML file.
        output: the image.
        width: of the window, in pixels.
        height: the same.

    Raises:
        UsageError: there is no such page or no browser, or the browser wrote nothing.
    """
    if not page.is_file():
        message = f"{page} does not exist; write it with `harness report --output {page}`"
        raise UsageError(message)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        message = f"none of {', '.join(BROWSERS)} is installed; on Debian `apt-get install chromium`"
        raise UsageError(message)
    output.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as folder:
        draft = Path(folder).resolve() / output.name
        command = [browser, "--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={folder}/profile"]
        command += [f"--window-size={width},{height}", f"--screenshot={draft}", page.resolve().as_uri()]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
        if ended.returncode or not draft.is_file():
            message = f"{browser} wrote no picture of {page}: {ended.stderr.strip().rpartition(chr(10))[2]}"
            raise UsageError(message)
        draft.replace(output)
    return output.stat().st_size


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw, and print what was written."""
    parser = bench_parser("picture", __doc__)
    parser.add_argument("--page", type=Path, required=True, help="HTML file of `harness report`")
    parser.add_argument("--output", type=Path, required=True, help="PNG")
    parser.add_argument("--width", type=positive, default=1120, help="of the window in pixels; 1120")
    parser.add_argument("--height", type=positive, default=872, help="the same; 872")
    options = parser.parse_args(arguments)
    size = draw(options.page, options.output, options.width, options.height)
    print(f"{options.output}: {size / 1000:.0f} kB")


if __name__ == "__main__":
    raise SystemExit(guarded(main))
