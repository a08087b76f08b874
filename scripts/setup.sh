# Sourced by the other scripts: makes .venv with Terrace and its test tools in it, and puts it first in PATH.
# PYTHON names the interpreter to make it from (default: python3.11, else python3). Needs no network once done.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
cd "$root"

if [[ ! -x "$venv/bin/python" ]]; then
    python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
    if [[ -z $python ]]; then
        echo "Terrace needs Python 3.11 or later: install it, or name it by PYTHON=/path/to/python" >&2
        exit 1
    fi
    "$python" -c 'import sys; sys.exit("Terrace needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv" # half made, it would be taken for a whole one by the next run
        echo "$python cannot make a virtual environment: install its venv module (Debian: python3-venv)" >&2
        exit 1
    fi
fi

# The stamp holds what was installed: a change of these files installs again, anything else does not.
stamp="$venv/.terrace-installed"
if ! cat pyproject.toml packaging/runtime/pyproject.toml | cmp -s - "$stamp"; then
    echo "Terrace is being set up in $venv: pip fetches about 2 GB at the first time" >&2
    "$venv/bin/python" -m pip install --quiet --editable packaging/runtime --editable '.[test]'
    cat pyproject.toml packaging/runtime/pyproject.toml >"$stamp"
fi
export PATH="$venv/bin:$PATH" PYTHON="$venv/bin/python"
