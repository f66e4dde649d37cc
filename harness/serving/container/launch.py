"""What a container runs: tritonserver on a mounted repository, under the rules of `harness.serving.access`.

::

    python3 -m harness.serving.container.launch [arguments for tritonserver]

Settings are the variables ``HARNESS_SERVE_*``, see docs/deploy.md. The process becomes tritonserver,
so that the container's signals reach it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core.errors import HarnessError, UsageError, nearest
from harness.serving.access import Access

HOST = "HARNESS_SERVE_HOST"
REPOSITORY = "HARNESS_SERVE_REPOSITORY"
MODELS = "HARNESS_SERVE_MODELS"
PROFILE = "HARNESS_SERVE_PROFILE"
#: The profile of every model's config.pbtxt, which needs no option.
_PLAIN = "evaluation"


def repository(variables: Mapping[str, str]) -> Path:
    """Return the model repository that the variables name; /models without one."""
    return Path(variables.get(REPOSITORY) or "/models")


def models(variables: Mapping[str, str]) -> list[str]:
    """Return the models to serve: those that the variable lists, else all of the repository.

    Raises:
        UsageError: the repository has none, or lacks one; names the nearest.
    """
    root = repository(variables)
    there = sorted(path.parent.name for path in root.glob("*/config.pbtxt"))
    if not there:
        message = f"{root} has no model; mount a model repository that `harness export` wrote"
        raise UsageError(message)
    chosen = [name.strip() for name in (variables.get(MODELS) or "").split(",") if name.strip()]
    for name in chosen:
        if name not in there:
            message = f"{MODELS} names {name!r}, which {root} lacks{nearest(name, there)}; it has {', '.join(there)}"
            raise UsageError(message)
    return list(dict.fromkeys(chosen)) or there


def _check_profile(root: Path, names: Sequence[str], profile: str) -> None:
    """Refuse a profile that a model lacks: Triton would silently take its config.pbtxt instead.

    Raises:
        UsageError: names the models and the profiles that there are.
    """
    profiles = {name: {path.stem for path in (root / name / "configs").glob("*.pbtxt")} for name in names}
    # A text model has one configuration for every profile of its graph.
    lacking = [name for name, there in profiles.items() if there and profile not in there]
    if lacking or not any(profiles.values()):
        found = sorted({_PLAIN}.union(*profiles.values()))
        message = (
            f"{PROFILE} is {profile!r}, which {', '.join(lacking or names)} lacks; there are {', '.join(found)}: "
            "choose one, or publish the models again with `harness export`"
        )
        raise UsageError(message)


def command(variables: Mapping[str, str], arguments: Sequence[str]) -> list[str]:
    """Return the server's program and arguments.

    Args:
        variables: the environment.
        arguments: come last, so that they win over the project's own.

    Raises:
        UsageError: a variable is wrong, or the repository has no such model or profile.
    """
    root, host = repository(variables), variables.get(HOST) or "127.0.0.1"
    names, profile = models(variables), variables.get(PROFILE) or _PLAIN
    options = [
        f"--model-repository={root}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        "--exit-on-error=true",
        *(f"--{service}-address={host}" for service in ("http", "grpc", "metrics")),
        # After the addresses: HTTP stays on this machine unless it is opened.
        *Access.from_environment(variables, limits_http=True).options(host),
    ]
    if profile != _PLAIN:
        _check_profile(root, names, profile)
        options.append(f"--model-config-name={profile}")
    return ["tritonserver", *options, *(f"--load-model={name}" for name in names), *arguments]


def main() -> None:
    """Become tritonserver; a mistake in the settings is one sentence and exit code 2."""
    try:
        line = command(os.environ, sys.argv[1:])
        os.execvp(line[0], line)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)  # noqa: T201 - the log of a container
        sys.exit(2)
    except FileNotFoundError:
        print("harness: no tritonserver on the PATH; run this in NVIDIA's image", file=sys.stderr)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    main()
