// Another OpenID provider than Keycloak: npm's oidc-provider, named by its issuer alone.
// Usage: node oidc_provider.mjs VESTIBULE COMPONENT PACKAGES FOLDER, where PACKAGES has
// playwright-core and oidc-provider.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";

import { freePort, launch, until, vestibule } from "./servers.mjs";

const [program, component, packages, folder] = process.argv.slice(2);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const { Provider } = await import(createRequire(`${packages}/`).resolve("oidc-provider"));

const [port, front] = [await freePort(), await freePort()];
const origin = `http://localhost:${port}`;
const issuer = `http://127.0.0.1:${front}`;
const clientSecret = randomBytes(16).toString("hex");

const provider = new Provider(issuer, {
  clients: [{
    client_id: "vestibule",
    client_secret: clientSecret,
    redirect_uris: [`${origin}/auth/callback`],
    post_logout_redirect_uris: [`${origin}/auth/login`],
    grant_types: ["authorization_code", "refresh_token"],
    token_endpoint_auth_method: "client_secret_basic",
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups"] },
  // The claims of the scopes are in the ID token, as Keycloak has it.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id, name: `The ${id}`, email: `${id}@corp.example`, email_verified: true, groups: ["team"],
    }),
  }),
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  cookies: { keys: [randomBytes(16).toString("hex")] },
  features: {
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => true },
  ttl: { AccessToken: 5, IdToken: 600, RefreshToken: 3600, Session: 3600, Grant: 3600, Interaction: 600 },
});
const asked = [];
const handler = provider.callback();
const op = http.createServer((request, response) => {
  asked.push(`${request.method} ${request.url.split("?")[0]}`);
  handler(request, response);
});
await new Promise((ready) => op.listen(front, "127.0.0.1", ready));

let server, browser;
try {
  server = await vestibule(program, folder, port, `
    database.url = "sqlite://${folder}/vestibule.db"
    [server]
    listen = "127.0.0.1:${port}"
    public_url = "${origin}"
    [auth]
    strategy = "${component}"
    [auth.settings]
    issuer = "${issuer}"
    client_id = "vestibule"
    client_secret = "${clientSecret}"
    client_auth = "basic"
    role_claims = ["/groups"]
    allowed_roles = ["team"]
    [auth.grants]
    http = ["${issuer}"]
    browser = ["${issuer}"]
    jose = ["${issuer}"]
    token_store = ["offline", "github", "gitlab", "bitbucket"]
  `);
  browser = await launch(packages);
  const context = await browser.newContext();
  const page = await context.newPage();
  const who = async () => (await context.request.get(`${origin}/auth/session`)).json();
  const logIn = async () => {
    await page.goto(`${origin}/auth/login?return_to=/healthz`);
    await page.getByRole("link", { name: /Sign in|Log in|Continue/ }).first().click();
    for (let step = 0; step < 8 && !page.url().startsWith(`${origin}/healthz`); step += 1) {
      await page.waitForLoadState();
      if (await page.locator("input[name=login]").isVisible().catch(() => false)) {
        await page.screenshot({ path: `${folder}/log-in.png` });
        await page.locator("input[name=login]").fill("ada");
        await page.locator("input[name=password]").fill("anything");
        await page.locator("button[type=submit]").click();
      } else if (await page.locator("button[type=submit]").isVisible().catch(() => false)) {
        await page.screenshot({ path: `${folder}/consent.png` });
        await page.locator("button[type=submit]").click();
      } else {
        await page.waitForTimeout(300);
      }
    }
    await page.waitForURL(`${origin}/healthz`).catch(async (error) => {
      await page.screenshot({ path: `${folder}/failed.png` });
      throw new Error(`at ${page.url()}: ${await page.locator("body").innerText()}`, { cause: error });
    });
  };

  await logIn();
  const session = await who();
  assert.deepEqual(
    [session.user_id, session.display_name, session.email, session.roles],
    ["ada", "The ada", "ada@corp.example", ["team"]],
  );
  console.log("ok: log-in at oidc-provider");

  await page.waitForTimeout(6_000);
  const mark = asked.length;
  const me = await context.request.get(`${origin}/api/v1/users/me`);
  assert.equal(me.status(), 200, await me.text());
  assert.deepEqual(asked.slice(mark), ["POST /token"], "one refresh");
  console.log("ok: a token that is over is renewed");

  await page.goto(`${origin}/auth/login`);
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.waitForURL((url) => !String(url).startsWith(`${origin}/auth/login`));
  // It asks whether that is meant.
  const yes = page.locator("button[name=logout]");
  await until("the way back", async () => {
    if (await yes.isVisible().catch(() => false)) await yes.click();
    return page.url().startsWith(`${origin}/auth/login`);
  }, 20);
  assert.equal((await who()).authenticated, false);
  console.log("ok: log-out, and by it at oidc-provider");
  await logIn();
  assert.equal((await who()).user_id, "ada");
  console.log("ok: log-in again");
  console.log("passed");
} catch (error) {
  console.error(`requests at oidc-provider: ${asked.slice(-20).join(", ")}`);
  throw error;
} finally {
  await browser?.close();
  await server?.stop();
  op.close();
  op.closeAllConnections();
}
