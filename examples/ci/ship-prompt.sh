#!/bin/sh
# A step of a pipeline that ships a prompt: asks the gate first, and ships on a plain yes alone.
#
#   BURNGATE_ADMIN=http://gate:9901 BURNGATE_TOKEN=… examples/ci/ship-prompt.sh support-triage "$GIT_COMMIT"
#
# For prompts the gate's answer is advice that is on record: it cannot see a prompt ship. It is this step that keeps to it.
set -eu

workflow=$1
reference=$2

code=0
burngate change "$workflow" --kind prompt --ref "$reference" || code=$?
case $code in
    0) ;;
    3) echo "changes of $workflow are frozen: not shipped" >&2; exit 3 ;;
    *) echo "the gate could not be asked: not shipped" >&2; exit 1 ;;
esac

# Whatever ships a prompt where you are.
: "${SHIP:=echo would ship}"
$SHIP "$workflow" "$reference"
