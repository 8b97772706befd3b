"""Counts what test/run collected: every row of every TAP test, every test that speaks no TAP.

usage: summary.py DIRECTORY   (with *.json from meson, and style.status)
"""

import json
import re
import sys
from pathlib import Path

ROW = re.compile(r"^(not )?ok\b(?P<rest>.*)$", re.MULTILINE)


def rows(test):
    """Passed, failed, skipped of one test."""
    found = list(ROW.finditer(test.get("stdout") or ""))
    skipped = sum(1 for row in found if "# SKIP" in row["rest"].upper().replace("#SKIP", "# SKIP"))
    failed = sum(1 for row in found if row[1])
    passed = len(found) - failed - skipped
    if test["result"] in ("SKIP",):
        return 0, 0, 1
    if test["result"] not in ("OK", "EXPECTEDFAIL") and not failed:
        failed = 1  # it crashed, timed out, or did not say which row failed
    if not found and not failed:
        passed = 1
    return passed, failed, skipped


def main(directory):
    totals = [0, 0, 0]
    for log in sorted(directory.glob("*.json")):
        for line in log.read_text().splitlines():
            test = json.loads(line)
            counts = rows(test)
            if counts[1]:
                print(f"FAILED {log.stem}: {test['name']} ({test['result']})")
            totals = [total + count for total, count in zip(totals, counts)]
    style = (directory / "style.status").read_text().strip() == "0"
    totals[0 if style else 1] += 1
    if not style:
        print("FAILED style")
    passed, failed, skipped = totals
    if passed == 0:
        failed += 1
        print("FAILED: no test ran")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
