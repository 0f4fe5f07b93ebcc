// A real browser and a real Keycloak: a person logs in, out, and is shut out, Keycloak
// goes and comes back, and their automation notices none of it. Usage: node keycloak.mjs
// VESTIBULE COMPONENT DATABASE KEYCLOAK REALM PYTHON PACKAGES FOLDER, where DATABASE is a
// URL, KEYCLOAK is the distribution, PYTHON has the OpenHands client, and PACKAGES has
// playwright-core. There are two processes of Vestibule on the one database.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { copyFileSync, createWriteStream, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import {
  conversation, countingProxy, freePort, launch, sleep, stop, until, vestibule,
} from "./servers.mjs";

const [program, component, database, keycloak, realm, python, packages, folder] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
// A Keycloak of this run alone, so that the realm is imported.
rmSync(`${keycloak}/data`, { recursive: true, force: true });
mkdirSync(`${keycloak}/data/import`, { recursive: true });
copyFileSync(realm, `${keycloak}/data/import/team-realm.json`);

const random = () => randomBytes(16).toString("hex");
const [password, clientSecret, serviceKey, admin, encryption] = Array.from({ length: 5 }, random);
const [port, second, front, behind] = [await freePort(), await freePort(), await freePort(), await freePort()];
const origin = `http://localhost:${port}`;
const idp = `http://127.0.0.1:${front}`;
const LIFESPAN = 8;

let running;
const startKeycloak = async () => {
  running = spawn("bash", [
    `${keycloak}/bin/kc.sh`, "start-dev", "--import-realm", "--http-host", "127.0.0.1",
    "--http-port", `${behind}`, "--hostname", idp, "--log-level", "INFO",
  ], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: {
      ...process.env,
      KC_BOOTSTRAP_ADMIN_USERNAME: "admin",
      KC_BOOTSTRAP_ADMIN_PASSWORD: admin,
      VESTIBULE_URL: origin,
      VESTIBULE_CLIENT_SECRET: clientSecret,
      ADA_PASSWORD: password,
      JAVA_OPTS_APPEND: "-Xmx900m",
    },
  });
  const log = createWriteStream(`${folder}/keycloak.log`, { flags: "a" });
  running.stdout.pipe(log);
  running.stderr.pipe(log);
  const discovery = `http://127.0.0.1:${behind}/realms/team/.well-known/openid-configuration`;
  await until("Keycloak", async () => (await fetch(discovery)).ok, 400);
};
const stopKeycloak = async () => {
  const gone = new Promise((done) => running.on("exit", done));
  // The script has started Java, which is in its group.
  process.kill(-running.pid, "SIGTERM");
  await gone;
};

// Administration goes past the proxy: it is not what is counted.
const administer = async (method, path, body) => {
  const base = `http://127.0.0.1:${behind}`;
  const grant = await fetch(`${base}/realms/master/protocol/openid-connect/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "password", client_id: "admin-cli", username: "admin", password: admin,
    }),
  });
  const { access_token: token } = await grant.json();
  const answer = await fetch(`${base}/admin/realms/team${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
};

let proxy, browser, automation;
const servers = [];
try {
  console.log("starting Keycloak");
  await startKeycloak();
  proxy = await countingProxy(front, behind);
  const start = (listen) => vestibule(program, `${folder}/${listen}`, listen, `
    database.url = "${database}"
    encryption.secret = "${encryption}"
    [server]
    listen = "127.0.0.1:${listen}"
    public_url = "${origin}"
    service_key = "${serviceKey}"
    [rate_limits]
    user_second = 0
    user_minute = 0
    [auth]
    strategy = "${component}"
    [auth.settings]
    url = "${idp}"
    realm = "team"
    client_id = "vestibule"
    client_secret = "${clientSecret}"
    allowed_roles = ["engineer"]
    [auth.grants]
    http = ["${idp}"]
    browser = ["${idp}"]
    jose = ["${idp}/realms/team"]
    token_store = ["offline", "github", "gitlab", "bitbucket"]
  `);
  for (const each of [port, second]) servers.push(await start(each));
  browser = await launch(packages);

  let context, page;
  const fresh = async () => {
    await context?.close();
    context = await browser.newContext();
    page = await context.newPage();
  };
  const show = (name) => page.screenshot({ path: `${folder}/${name}.png` });
  const who = async () => (await (await context.request.get(`${origin}/auth/session`)).json()).user_id ?? null;
  const me = (at = port) => context.request.get(`http://localhost:${at}/api/v1/users/me`);
  const hasSession = async () => (await context.cookies(origin)).some(({ name }) => name === "vestibule-session");
  // Whatever Keycloak asks on the way, until the browser is somewhere else.
  const pass = async (name, shots = []) => {
    for (let step = 0; step < 6 && page.url().startsWith(idp); step += 1) {
      if (await page.locator("#username").isVisible()) {
        shots.push("log-in");
        await show(`keycloak-${shots.length}-log-in`);
        await page.locator("#username").fill(name);
        await page.locator("#password").fill(password);
        await page.locator("#kc-login").click();
      } else {
        shots.push("consent");
        await show(`keycloak-${shots.length}-consent`);
        await page.locator("input[name=accept], button[name=accept]").first().click();
      }
      await page.waitForLoadState();
    }
    return shots;
  };
  const logIn = async (name = "ada") => {
    await page.goto(`${origin}/auth/login?return_to=/healthz`);
    await page.getByRole("link", { name: /Sign in|Log in|Continue/ }).first().click();
    await page.waitForLoadState();
    return pass(name);
  };
  const expired = () => sleep(LIFESPAN + 1);

  // ---- somebody who may not come in
  await fresh();
  await logIn("eve");
  assert.equal(await page.locator("h1").innerText(), "This account may not come in");
  await show("denied");
  console.log("ok: somebody without the role is refused");

  // ---- log-in, and consent to the offline token
  await fresh();
  let mark = proxy.seen.length;
  const shots = await logIn();
  await page.waitForURL(`${origin}/healthz`);
  assert.deepEqual(shots, ["log-in", "consent", "consent"], "a consent for each of the grants");
  const id = await who();
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.equal(proxy.since(mark, "/token"), 2, "one exchange for each of the grants");
  const session = await (await context.request.get(`${origin}/auth/session`)).json();
  assert.deepEqual([session.display_name, session.email], ["Ada Lovelace", "ada@corp.example"]);
  assert.ok(session.roles.includes("engineer"), session.roles);
  const [{ httpOnly, sameSite }] = (await context.cookies(origin)).filter(({ name }) => name === "vestibule-session");
  assert.deepEqual({ httpOnly, sameSite }, { httpOnly: true, sameSite: "Lax" });
  console.log("ok: log-in and offline consent");

  // ---- what the automation has
  const write = async (method, path, data, headers = { origin }) => {
    const answer = await context.request.fetch(`${origin}${path}`, { method, data, headers });
    assert.ok(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return answer.json();
  };
  const { key } = await write("POST", "/api/keys", { name: "automation" });
  await write("PATCH", "/api/v1/settings", { llm_model: "openai/gpt-4o", llm_api_key: "sk-the-llm-key" });
  await write("POST", "/api/v1/secrets", { name: "NPM_TOKEN", value: "ümläut" });
  const sandbox = await write("POST", "/api/service/sandboxes", { id: "s1", user_id: id }, {
    "x-service-api-key": serviceKey,
  });
  automation = conversation(python, [`${here}/automation.py`, origin], {
    AUTOMATION_KEY: key, SANDBOX_ID: "s1", SESSION_API_KEY: sandbox.session_api_key,
  });
  const automationWorks = async (when) => {
    const before = proxy.seen.length;
    assert.deepEqual(await automation.tell("look"), {
      email: "ada@corp.example", model: "openai/gpt-4o", llm_key: "sk-the-llm-key",
      secrets: { NPM_TOKEN: "ümläut" },
    }, when);
    // What Chromium still asks for the page of Keycloak that it shows is nobody's but its own.
    const asked = proxy.seen.slice(before).filter((request) => !request.startsWith("GET /resources/"));
    console.log(`   automation ${when}: users/me, secrets, get_llm; requests that reached Keycloak: ${asked.length}`);
    assert.deepEqual(asked, [], when);
  };
  await automationWorks("while its owner is logged in");

  // ---- the session outlives its tokens
  assert.equal((await me()).status(), 200);
  mark = proxy.seen.length;
  for (let round = 0; round < 5; round += 1) assert.equal((await me()).status(), 200);
  assert.equal(proxy.since(mark), 0, "a request asks nobody");
  for (let round = 0; round < 2; round += 1) {
    await expired();
    mark = proxy.seen.length;
    const all = await Promise.all(Array.from({ length: 50 }, (_, n) => me(n % 2 ? port : second)));
    assert.deepEqual(new Set(all.map((answer) => answer.status())), new Set([200]));
    assert.equal(proxy.since(mark, "/token"), 1, "one refresh for fifty requests");
  }
  console.log("ok: fifty requests on an expired session at two processes, one refresh, twice over");
  await automationWorks("after a refresh");

  // ---- log-out here
  mark = proxy.seen.length;
  await page.goto(`${origin}/auth/login`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await until("the way back", async () => page.url().startsWith(`${origin}/auth/login`), 20)
    .catch(async () => { await show("log-out"); throw new Error(`at ${page.url()}`); });
  assert.equal(await hasSession(), false);
  assert.equal(await who(), null);
  assert.ok(proxy.since(mark, "/logout") >= 1, "the browser was led to Keycloak");
  await show("signed-out");
  console.log("ok: log-out in Vestibule, and by it in Keycloak");
  await automationWorks("after a log-out in Vestibule");

  // ---- log-in again: they have an offline token already
  mark = proxy.seen.length;
  assert.deepEqual(await logIn(), ["log-in"], "logged out at Keycloak, and nothing to consent to");
  await page.waitForURL(`${origin}/healthz`);
  assert.equal(proxy.since(mark, "/token"), 1, "one trip");
  console.log("ok: a second log-in makes one trip");

  // ---- log-out at Keycloak, which tells by the back channel
  await page.goto(`${idp}/realms/team/protocol/openid-connect/logout`);
  await page.locator("#kc-logout").click();
  await page.waitForLoadState();
  mark = proxy.seen.length;
  await until("the log-out", async () => (await me()).status() === 401, 10);
  assert.equal(proxy.since(mark, "/token"), 0, "it was told, and did not have to ask");
  console.log("ok: log-out in Keycloak, by the back channel");
  await automationWorks("after a log-out in Keycloak");

  // ---- disabled at Keycloak
  await fresh();
  await logIn();
  await page.waitForURL(`${origin}/healthz`);
  const user = await administer("GET", `/users/${id}`);
  await administer("PUT", `/users/${id}`, { ...user, enabled: false });
  await expired();
  mark = proxy.seen.length;
  assert.equal((await me()).status(), 401);
  assert.equal((await me()).status(), 401);
  assert.ok(proxy.since(mark, "/token") <= 1, "one call at the most");
  assert.equal(await hasSession(), false, "the cookie is deleted");
  console.log("ok: a user who is disabled in Keycloak is out when the token is over");
  await automationWorks("while its owner is disabled in Keycloak");
  await administer("PUT", `/users/${id}`, { ...user, enabled: true });

  // ---- Keycloak goes, and comes back
  await fresh();
  await logIn();
  await page.waitForURL(`${origin}/healthz`);
  const leaving = context;
  context = undefined;
  await fresh();
  await logIn();
  await page.waitForURL(`${origin}/healthz`);
  await stopKeycloak();
  console.log("Keycloak is stopped");
  await automationWorks("while Keycloak is down");
  await expired();
  const down = await me();
  assert.equal(down.status(), 503);
  assert.equal(await hasSession(), true, "the cookie is kept");
  await automationWorks("while Keycloak is down and the session is expired");
  const left = await leaving.request.post(`${origin}/api/logout`, { headers: { origin }, data: "" });
  assert.equal(left.status(), 200, "a log-out needs no Keycloak");
  await leaving.close();
  await startKeycloak();
  console.log("Keycloak is there again");
  assert.equal((await me()).status(), 200, "the session goes on");
  assert.equal(await who(), id);
  await automationWorks("after Keycloak came back");
  console.log("ok: Keycloak stopped and started");
  await page.screenshot({ path: `${folder}/done.png` });
  console.log(`passed, with pictures in ${folder}`);
} catch (error) {
  console.error(`requests at Keycloak: ${proxy?.seen.slice(-20).join(", ")}`);
  throw error;
} finally {
  automation?.stop();
  await browser?.close();
  for (const server of servers) await server.stop();
  proxy?.close();
  if (running && running.exitCode === null && running.signalCode === null) await stopKeycloak();
}
