"""`make invoke` fails when the function did."""

from __future__ import annotations

import pytest

from sandbox.invoked import failed


@pytest.mark.parametrize("answer", ['{"statusCode": 401}', "null", '{"batchItemFailures": []}', '"text"'])
def test_what_the_function_returned_is_no_failure(answer: str) -> None:
    assert not failed(answer)


@pytest.mark.parametrize(
    "answer", ['{"errorMessage": "no", "errorType": "RuntimeError", "stackTrace": []}', "", "Task timed out after 15 s"]
)
def test_a_function_that_raised_or_gave_no_answer_has_failed(answer: str) -> None:
    assert failed(answer)
