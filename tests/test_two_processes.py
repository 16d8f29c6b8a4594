"""State shared between web processes: gunicorn runs two with one database."""

import requests

from tests.stack import Api, Stack

EMAIL, PASSWORD = "two@example.org", "correct horse battery"


def test_failed_sign_ins_are_counted_across_processes(stack: Stack, api: Api) -> None:
    api.call("POST", "/users", 201, email=EMAIL, password=PASSWORD, first_name="Two", last_name="Guesses")
    answers = []
    for password in [*("a wrong guess",) * 5, PASSWORD]:
        sent = {"email": EMAIL, "password": password}
        answers.append(requests.post(f"{stack.url}/api/v1/tokens", json=sent, timeout=10).status_code)
    assert answers == [401] * 5 + [429]
