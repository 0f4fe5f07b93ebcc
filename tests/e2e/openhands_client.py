"""The unmodified OpenHands client against Vestibule: in the cloud's mode, where it
starts a sandbox, and in the mode in which it runs within one."""

import json
import os
import subprocess
import sys

os.environ["OPENHANDS_SUPPRESS_BANNER"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import httpx
from openhands.workspace import OpenHandsCloudWorkspace

SETTINGS = {
    "llm_model": "openai/gpt-4o",
    "llm_api_key": "sk-the-llm-key",
    "llm_base_url": "https://llm.example/v1",
    "llm_profiles": {
        "active": "fast",
        "profiles": {"fast": {"model": "openai/small", "api_key": "sk-fast"}},
    },
    "mcp_config": {
        "sse_servers": [{"url": "https://mcp.example/sse"}],
        "shttp_servers": [{"url": "https://mcp.example/http", "timeout": 30}],
        "stdio_servers": [{"name": "local", "command": "tool", "args": ["--fast"]}],
    },
}
SECRETS = {
    "NPM_TOKEN": "ümläut \U0001f511",
    "TRAILING": "ends with a newline\n",
    "JSON": '{"a": 1}',
    "EMPTY": "",
    "LARGE": "x" * 65536,
}


def check(workspace, client):
    llm = workspace.get_llm()
    assert llm.model == "openai/gpt-4o", llm.model
    assert llm.api_key.get_secret_value() == "sk-the-llm-key"
    assert llm.base_url == "https://llm.example/v1"
    assert workspace.get_llm(model="openai/other").model == "openai/other"
    fast = workspace.get_llm(profile_name="fast")
    assert (fast.model, fast.api_key.get_secret_value()) == ("openai/small", "sk-fast")
    try:
        workspace.get_llm(profile_name="none")
        raise AssertionError("a profile that is not there was found")
    except FileNotFoundError:
        pass

    secrets = workspace.get_secrets()
    assert set(secrets) == set(SECRETS) | {"github_token"}, sorted(secrets)
    for name, value in SECRETS.items():
        assert secrets[name].get_value() == value, name
    assert secrets["github_token"].get_value() == "ghp-the-token"
    assert set(workspace.get_secrets(names=["JSON"])) == {"JSON"}
    # A reference that was serialised holds neither value nor key.
    shown = json.dumps([secret.model_dump(mode="json") for secret in secrets.values()])
    assert "ümläut" not in shown and workspace._session_api_key not in shown

    deleted = workspace.get_secrets(names=["EMPTY"])["EMPTY"]
    client.delete("/api/v1/secrets/EMPTY").raise_for_status()
    try:
        deleted.get_value()
        raise AssertionError("a deleted secret was read")
    except httpx.HTTPStatusError as error:
        assert error.response.status_code == 404
    client.post("/api/v1/secrets", json={"name": "EMPTY", "value": ""}).raise_for_status()

    servers = workspace.get_mcp_config()
    assert set(servers) == {"sse_0", "shttp_0", "local"}, servers
    assert servers["sse_0"].url == "https://mcp.example/sse"


def main(server, strategy):
    process = subprocess.Popen(
        [server, strategy], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        ready = json.loads(process.stdout.readline())
        url, key = ready["url"], ready["key"]
        bearer = {"Authorization": f"Bearer {key}"}
        client = httpx.Client(base_url=url, headers=bearer)
        client.patch("/api/v1/settings", json=SETTINGS).raise_for_status()
        for name, value in SECRETS.items():
            client.post("/api/v1/secrets", json={"name": name, "value": value}).raise_for_status()
        tokens = {"provider_tokens": {"github": {"token": "ghp-the-token"}}}
        client.post("/api/v1/secrets/git-providers", json=tokens).raise_for_status()

        try:
            OpenHandsCloudWorkspace(cloud_api_url=url, cloud_api_key="sk-oh-unknown")
            raise AssertionError("an unknown key was let in")
        except httpx.HTTPStatusError as error:
            assert error.response.status_code == 401

        with OpenHandsCloudWorkspace(cloud_api_url=url, cloud_api_key=key) as workspace:
            check(workspace, client)
            sandbox, session = workspace._sandbox_id, workspace._session_api_key
            paused = client.post(f"/api/v1/sandboxes/{sandbox}/pause")
            paused.raise_for_status()
            with OpenHandsCloudWorkspace(
                cloud_api_url=url, cloud_api_key=key, sandbox_id=sandbox, keep_alive=True
            ) as again:
                assert again._session_api_key != session
                check(again, client)
                session = again._session_api_key
        print("in the cloud's mode: passed")
        headers = {"X-Session-API-Key": session}
        gone = httpx.get(f"{url}/api/v1/sandboxes/{sandbox}/settings/secrets", headers=headers)
        assert gone.status_code == 401, gone.status_code

        started = client.post("/api/v1/sandboxes").json()["id"]
        view = {}
        while view.get("status") != "RUNNING":
            view = client.get("/api/v1/sandboxes", params={"id": started}).json()[0]
        os.environ["SANDBOX_ID"] = started
        os.environ["SESSION_API_KEY"] = view["session_api_key"]
        with OpenHandsCloudWorkspace(
            local_agent_server_mode=True, cloud_api_url=url, cloud_api_key=key
        ) as workspace:
            check(workspace, client)
        print("in the mode within a sandbox: passed")
    finally:
        process.stdin.close()
        status = process.wait(timeout=30)
    # The server looks whether an identity provider was asked anything.
    assert status == 0, status


if __name__ == "__main__":
    main(*sys.argv[1:])
