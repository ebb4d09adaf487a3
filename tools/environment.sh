# Sourced by the scripts beside it, with $here set to the top of the checkout: the virtual environment in .venv.
# Messages go to standard error; standard output belongs to the program that runs afterwards.

say() {
    printf 'mtftpd: %s\n' "$*" >&2
}

give_up() {
    say "$*"
    exit 1
}

# Print the first Python that is new enough.
find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# Can this Python make virtual environments?  Debian splits that off into python3-venv.
can_make_environments() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1
}

# Make .venv, or bring it up to date, so that it has the package and the extras named by $1 ("" or "[test]").
# The stamp holds the checksum of pyproject.toml: another checksum means other dependencies, so .venv is made anew.
prepare_environment() {
    extras=$1
    wanted=$(cksum <"$here/pyproject.toml")
    stamp="$here/.venv/mtftpd-stamp"
    for complete in "$stamp$extras" "$stamp[test]"; do
        if [ -f "$complete" ] && [ "$(cat "$complete")" = "$wanted" ] && "$here/.venv/bin/python" -c '' 2>/dev/null; then
            return
        fi
    done
    for old in "$stamp" "$stamp[test]"; do
        if [ -f "$old" ] && [ "$(cat "$old")" != "$wanted" ]; then
            say "pyproject.toml has changed: making .venv anew"
            rm -rf "$here/.venv"
        fi
    done
    "$here/.venv/bin/python" -m pip --version >/dev/null 2>&1 || make_environment
    say "installing what is missing into .venv (this needs the network and happens once)"
    "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --editable "$here$extras" \
        </dev/null >&2 || give_up "the installation failed; see the lines above"
    printf '%s\n' "$wanted" >"$stamp$extras"
}

make_environment() {
    python=$(find_python) || give_up "needs Python 3.11 or newer, and there is no python3.11 to python3.14 in \$PATH"
    can_make_environments "$python" ||
        give_up "$python cannot make virtual environments; as root, run: apt-get install python3-venv"
    say "making .venv with $("$python" --version)"
    rm -rf "$here/.venv"
    "$python" -m venv "$here/.venv" </dev/null >&2 || give_up "$python -m venv failed; see the lines above"
}
