"""Whether the predictions of answer.py come true. It tells which are wrong, and not what would be right."""

import answer
import pytest


@pytest.mark.parametrize("segment", ["data", "bss"])
def test_predictions(p9, segment):
    predicted = {"data": answer.DATA, "bss": answer.BSS}[segment]
    counted = p9.run(p9.build("program.c")).faults.by_segment().get(segment, {})
    wrong = [cls for cls in sorted(predicted | counted) if predicted.get(cls, 0) != counted.get(cls, 0)]
    if wrong:
        pytest.fail(f"faults in {segment} that are not as many as predicted: {', '.join(wrong)}", pytrace=False)
