# Sourced by the other scripts. `prepare SET` makes or reuses .venv with requirements/SET.txt and this
# checkout installed in it, and sets `bin` to the folder of its commands. Sets: run, all, dev.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.venv/bin
lowest="3, 12"

is_recent() { "$@" -c "import sys; sys.exit(sys.version_info < ($lowest))" >/dev/null 2>&1; }

make_venv() {
    local candidate wanted
    wanted=$(cat "$root/.python-version")
    for candidate in "${HDSL_PYTHON:-}" "python$wanted" python3 python3.12 python3.14 python; do
        [ -n "$candidate" ] && is_recent "$candidate" || continue
        echo "Making .venv with $("$candidate" --version)" >&2
        "$candidate" -m venv --clear "$root/.venv" && return
    done
    if command -v uv >/dev/null; then
        uv venv --quiet --clear --seed --python "$wanted" "$root/.venv" && return
    fi
    echo "hdsl needs Python 3.12 or later with its venv module; none was found." >&2
    echo "Install Python $wanted, or name one: HDSL_PYTHON=/path/to/python3 bash $0" >&2
    return 1
}

stamp_of() { cat "$root/requirements/$1.txt" "$root/pyproject.toml" | "$bin/python" -c '
import hashlib, os, sys
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest(), os.path.realpath(sys.argv[1]))' "$root"; }

is_ready() { [ "$(cat "$root/.venv/hdsl-$1.stamp" 2>/dev/null)" = "$(stamp_of "$1")" ]; }

pip_install() {
    "$bin/python" -m pip install --quiet --disable-pip-version-check --no-input "$@" </dev/null
}

prepare() {
    cd "$root" || return
    is_recent "$bin/python" || make_venv || return
    local larger
    case $1 in run) larger="run all dev" ;; all) larger="all dev" ;; *) larger=$1 ;; esac
    for larger in $larger; do is_ready "$larger" && return; done
    echo "Installing requirements/$1.txt into .venv (a minute or so, the first time)" >&2
    pip_install --require-hashes --requirement "requirements/$1.txt" || return
    pip_install --no-deps --no-build-isolation --editable . || return
    stamp_of "$1" >"$root/.venv/hdsl-$1.stamp"
}
