#!/usr/bin/env bash
# tests/mutants.sh [COUNT [SEED]]: do the tests notice when the code is changed?
#
# Changes a copy of what `gate/budget`, `gate/approval` and `wire` do, in COUNT places that are drawn
# by SEED (300 and 20261128), one at a time, and runs the unit tests of `gate` and `wire` and those of
# tests/sim that need nothing else. Prints the changes that no test noticed; the whole record is in
# target/mutants. Takes a minute for each dozen or so. The same sources and SEED draw the same changes.
#
# Some survivors are no gap: a change that alters nothing (`len <= 0` for an unsigned number), or one
# of a number that is only as good as any other. For each of the others, write a test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
count=${1:-300} seed=${2:-20261128}
readonly tools="${BURNGATE_TEST_TOOLS:-$PWD/target/tools}" out="$PWD/target/mutants" copy="$PWD/target/mutants/copy"

cargo install --locked --quiet --root "$tools" cargo-mutants
export PATH="$tools/bin:$PATH"

# `gate` and `wire` look at nothing but themselves, so they are a crate of their own, which builds in
# seconds where the whole takes minutes.
rm -rf "$out/copy"
mkdir -p "$copy/src" "$copy/tests"
cp -r src/gate src/wire "$copy/src/"
cp -r tests/sim "$copy/tests/"
cp Cargo.toml Cargo.lock "$copy/"
printf '//! What decides and what reads.\npub mod gate;\npub mod wire;\n' >"$copy/src/lib.rs"
python3 - "$copy" <<'END'
import pathlib, re, sys
copy = pathlib.Path(sys.argv[1])
# Models that need the living state stay out, with the folders they are modules of.
sim = copy / "tests/sim"
for path in sorted(sim.iterdir()):
    files = path.rglob("*.rs") if path.is_dir() else [path]
    outside = r"burngate::(?!gate\b|wire\b)\w+"
    if path.name != "main.rs" and any(re.search(outside, file.read_text()) for file in files):
        main = sim / "main.rs"
        main.write_text(main.read_text().replace(f"mod {path.stem};\n", ""))
        path.rename(copy / path.name)
manifest = copy / "Cargo.toml"
text = manifest.read_text()
text = re.sub(r'default-run = .*\n', "", text)
text = re.sub(r'\[\[(test|bench)\]\]\n(?:.+\n)*', lambda block: block[0] if '"sim"' in block[0] else "", text)
manifest.write_text(text + "\n[workspace]\n")
END

cd "$copy"
cargo mutants --no-config --list --json -f 'src/gate/budget/**' -f 'src/gate/approval/**' -f 'src/wire/**' >"$out/all.json"
python3 - "$out" "$count" "$seed" <<'END'
import json, pathlib, random, re, sys
out, count, seed = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = sorted({mutant["name"] for mutant in json.loads((out / "all.json").read_text())})
drawn = random.Random(seed).sample(names, min(count, len(names)))
lines = "".join(f"  {json.dumps('^' + re.escape(name) + '$')},\n" for name in drawn)
(out / "drawn.toml").write_text(f"examine_re = [\n{lines}]\n")
print(f"{len(drawn)} of {len(names)} changes, drawn by seed {seed}")
END
nice -n 19 cargo mutants --config "$out/drawn.toml" --in-place --minimum-test-timeout 60 -o "$out" -- --lib --test sim
