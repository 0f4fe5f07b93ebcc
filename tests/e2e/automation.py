"""An automation of one user's, within their sandbox: the unmodified OpenHands client.
For each line on its standard input it says what it can have, as a line of JSON."""

import json
import os
import sys

os.environ["OPENHANDS_SUPPRESS_BANNER"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import httpx
from openhands.workspace import OpenHandsCloudWorkspace


def look(url, key):
    me = httpx.get(f"{url}/api/v1/users/me", headers={"Authorization": f"Bearer {key}"})
    me.raise_for_status()
    with OpenHandsCloudWorkspace(
        local_agent_server_mode=True, cloud_api_url=url, cloud_api_key=key
    ) as workspace:
        llm = workspace.get_llm()
        secrets = workspace.get_secrets()
        return {
            "email": me.json()["email"],
            "model": llm.model,
            "llm_key": llm.api_key.get_secret_value(),
            "secrets": {name: secret.get_value() for name, secret in secrets.items()},
        }


def main(url):
    key = os.environ["AUTOMATION_KEY"]
    for _ in sys.stdin:
        try:
            answer = look(url, key)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
