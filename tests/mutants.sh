#!/usr/bin/env bash
# tests/mutants.sh [COUNT [SEED]]: do the tests notice when the code is changed?
#
# Changes a copy of what `gate/budget`, `gate/approval` and `wire` do, in COUNT places that are drawn
# by SEED (300 and 20261128), one at a time, and runs the unit tests of `gate` and `wire` and those of
# tests/sim that need nothing else. Prints the share that was noticed and the changes that were not;
# the whole record is in target/mutants. Takes a minute for each dozen or so. The same sources and
# SEED draw the same changes.
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
mutants = {mutant["name"]: mutant for mutant in json.loads((out / "all.json").read_text())}
drawn = random.Random(seed).sample(sorted(mutants), min(count, len(mutants)))
lines = "".join(f"  {json.dumps('^' + re.escape(name) + '$')},\n" for name in drawn)
(out / "drawn.toml").write_text(f"examine_re = [\n{lines}]\n")
(out / "drawn.json").write_text(json.dumps(drawn))
# cargo-mutants makes every change of the kind "delete field", whatever the expressions above say.
# This diff, which claims that the first line of each drawn change is new, holds the others back.
starts = {}
for name in drawn:
    starts.setdefault(mutants[name]["file"], set()).add(mutants[name]["span"]["start"]["line"])
diff = ""
for file, numbers in sorted(starts.items()):
    text = (out / "copy" / file).read_text().split("\n")
    diff += f"--- a/{file}\n+++ b/{file}\n"
    for before, line in enumerate(sorted(numbers)):
        diff += f"@@ -{line - before - 1},0 +{line},1 @@\n+{text[line - 1]}\n"
(out / "drawn.diff").write_text(diff)
print(f"{len(drawn)} of {len(mutants)} changes, drawn by seed {seed}")
END
failed=0
nice -n 19 cargo mutants --config "$out/drawn.toml" --in-diff "$out/drawn.diff" --in-place --minimum-test-timeout 60 \
    -o "$out" -- --lib --test sim || failed=$?
python3 - "$out" <<'END'
import collections, json, pathlib, sys
out = pathlib.Path(sys.argv[1])
drawn = set(json.loads((out / "drawn.json").read_text()))
record = json.loads((out / "mutants.out" / "outcomes.json").read_text())
found = {}
for outcome in record["outcomes"]:
    if outcome["scenario"] != "Baseline":
        found[outcome["scenario"]["Mutant"]["name"]] = outcome["summary"]
# A change that shares its line with a drawn one may have been made as well: it does not count.
counts = collections.Counter(found[name] for name in drawn if name in found)
caught = counts["CaughtMutant"] + counts["Timeout"]
viable = caught + counts["MissedMutant"]
print(f"of {len(drawn)} drawn changes {len(drawn & set(found))} were made, {viable} of them compile, and {caught} were noticed", end="")
print(f": {100 * caught / viable:.1f}%" if viable else "")
for name in sorted(name for name in drawn if found.get(name) == "MissedMutant"):
    print(f"not noticed: {name}")
END
exit "$failed"
