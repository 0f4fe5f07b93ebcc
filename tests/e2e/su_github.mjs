// A real browser logs in with su-github, over https, against a scripted GitHub on
// another site. Usage: node su_github.mjs SERVER PACKAGES PICTURES, where PACKAGES has
// playwright-core.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import tls from "node:tls";

const [server, packages, folder] = process.argv.slice(2);
const { chromium } = createRequire(`${packages}/`)("playwright-core");
mkdirSync(folder, { recursive: true });

// Vestibule speaks http; what is in front of it has the certificate.
const certificate = () => {
  const file = (name) => `${folder}/${name}.pem`;
  execFileSync("openssl", [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
    "-keyout", file("key"), "-out", file("certificate"), "-days", "2", "-subj", "/CN=localhost",
    "-addext", "subjectAltName=DNS:localhost",
  ], { stdio: "ignore" });
  return { key: readFileSync(file("key")), cert: readFileSync(file("certificate")) };
};

let upstream;
const front = tls.createServer(certificate(), (browser) => {
  const host = net.connect(upstream, "127.0.0.1");
  for (const end of [browser, host]) end.on("error", () => { browser.destroy(); host.destroy(); });
  browser.pipe(host).pipe(browser);
});
await new Promise((ready) => front.listen(0, "127.0.0.1", ready));
const origin = `https://localhost:${front.address().port}`;

const process_ = spawn(server, [origin], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: process_.stdout })[Symbol.asyncIterator]();
const started = JSON.parse((await lines.next()).value);
upstream = started.port;
const github = async (happens) => {
  process_.stdin.write(`${happens}\n`);
  assert.equal((await lines.next()).value, "done");
};

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});

let passed = 0;
const visit = async (what, act, options = {}) => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
  const page = await context.newPage();
  const requests = [];
  page.on("request", (request) => requests.push(new URL(request.url()).origin));
  const complaints = [];
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) complaints.push(message.text());
  });
  try {
    await act({ context, page, requests, complaints });
    passed += 1;
    console.log(`ok: ${what}`);
  } catch (error) {
    await page.screenshot({ path: `${folder}/failed.png` });
    throw new Error(`${what}: ${error.message}\nat ${page.url()}`, { cause: error });
  } finally {
    await context.close();
  }
};
const show = (page, name) => page.screenshot({ path: `${folder}/${name}.png` });
const heading = (page) => page.locator("h1").innerText();
// In a tab of its own: the pages' policy lets no script ask.
const who = async (page) => {
  const tab = await page.context().newPage();
  await tab.goto(`${origin}/auth/session`);
  const answer = JSON.parse(await tab.locator("body").innerText());
  await tab.close();
  return answer.user_id;
};
const signIn = async (page, to = "/healthz") => {
  await page.goto(`${origin}/auth/login?return_to=${encodeURIComponent(to)}`);
  await page.getByRole("link", { name: "Sign in with GitHub" }).click();
  await page.waitForURL(`${origin}${to}`);
};

try {
  await visit("a person signs in, stays so after a reload, and signs out", async ({ context, page, requests, complaints }) => {
    await page.goto(`${origin}/auth/login?return_to=/healthz`);
    assert.equal(await heading(page), "Sign in");
    await show(page, "sign-in");
    const pending = page.getByRole("link", { name: "Sign in with GitHub" });
    await pending.click();
    await page.waitForURL(`${origin}/healthz`);
    assert.equal(await who(page), "583231");

    const cookies = await context.cookies(origin);
    assert.deepEqual(cookies.map((cookie) => cookie.name), ["__Host-vestibule-session"]);
    const [{ httpOnly, secure, sameSite, path }] = cookies;
    assert.deepEqual({ httpOnly, secure, sameSite, path },
      { httpOnly: true, secure: true, sameSite: "Strict", path: "/" });
    assert.equal(await page.evaluate(() => document.cookie), "", "no script reads it");
    const elsewhere = requests.filter((asked) => asked !== origin && asked !== started.github);
    assert.deepEqual(elsewhere, [], "nothing is taken from elsewhere");

    await page.goto(`${origin}/`);
    assert.equal(await heading(page), "You are signed in");
    await page.reload();
    assert.equal(await who(page), "583231");
    await show(page, "signed-in");
    await page.getByRole("button", { name: "Sign out" }).click();
    assert.equal(await heading(page), "You are signed out");
    await show(page, "signed-out");
    assert.deepEqual(await context.cookies(origin), []);
    await page.goBack();
    assert.equal(await who(page), null, "the back button brings nobody back");
    assert.deepEqual(complaints, [], "the policy has nothing to complain about");
  });

  await visit("the pages work without JavaScript, and in the dark", async ({ page, context }) => {
    await page.goto(`${origin}/auth/login?return_to=/healthz`);
    await show(page, "sign-in-dark");
    await page.getByRole("link", { name: "Sign in with GitHub" }).click();
    await page.waitForURL(`${origin}/healthz`);
    assert.equal((await context.cookies(origin)).length, 1);
    await page.goto(`${origin}/auth/login`);
    await page.getByRole("button", { name: "Sign out" }).click();
    assert.equal(await heading(page), "You are signed out");
  }, { javaScriptEnabled: false, colorScheme: "dark" });

  await visit("a stranger is denied, and nothing stays", async ({ page, context }) => {
    await github("a stranger");
    await page.goto(`${origin}/auth/login`);
    await page.getByRole("link", { name: "Sign in with GitHub" }).click();
    assert.equal(await heading(page), "This account may not come in");
    await show(page, "denied");
    assert.deepEqual(await context.cookies(origin), []);
    await github("the owner");
    await page.getByRole("link", { name: "Sign in with another account" }).click();
    await page.getByRole("link", { name: "Sign in with GitHub" }).click();
    await page.waitForURL(`${origin}/auth/login`);
    assert.equal(await who(page), "583231");
  });

  await visit("who declines at GitHub is told so, and can try again", async ({ page }) => {
    await github("nobody agrees");
    await page.goto(`${origin}/auth/login/start`);
    assert.equal(await heading(page), "You were not signed in");
    await show(page, "declined");
    await github("the owner");
    await page.getByRole("link", { name: "Try again" }).click();
    await page.getByRole("link", { name: "Sign in with GitHub" }).click();
    await page.waitForURL(`${origin}/auth/login`);
    assert.equal(await who(page), "583231");
  });

  await visit("a GitHub that is silent costs a page, in time", async ({ page }) => {
    await github("silent");
    await page.goto(`${origin}/auth/login/start`, { timeout: 20_000 });
    assert.equal(await heading(page), "Signing in does not work at the moment");
    await show(page, "unavailable");
    await github("well");
  });

  await visit("a callback that is opened twice, and the back button", async ({ page, context }) => {
    const callbacks = [];
    page.on("request", (request) => {
      if (request.url().startsWith(`${origin}/auth/callback`)) callbacks.push(request.url());
    });
    await signIn(page);
    const key = (await context.cookies(origin))[0].value;
    await page.goto(callbacks[0]);
    assert.equal(await heading(page), "This sign-in is not in progress");
    await show(page, "not-in-progress");
    assert.equal((await context.cookies(origin))[0].value, key, "the session stays as it was");
    await page.goBack();
    assert.equal(await who(page), "583231");

    // Clicked twice while the first answer is on its way.
    await context.clearCookies();
    const onward = async (url) => {
      const answer = await context.request.get(url, { maxRedirects: 0 });
      return answer.headers().location;
    };
    const callback = await onward(await onward(`${origin}/auth/login/start`));
    await page.goto(`${origin}/healthz`);
    await page.setContent(`<a href="${callback.replaceAll("&", "&amp;")}">back</a>`);
    await page.getByRole("link").dblclick({ noWaitAfter: true });
    await page.waitForURL((url) => url.pathname !== "/healthz");
    await page.waitForLoadState();
    const seen = await heading(page).catch(() => "");
    const ends = ["This sign-in is not in progress", "You are signed in"];
    assert.ok(ends.includes(seen), seen);
    await page.goto(`${origin}/auth/login`);
    if ((await heading(page)) === "Sign in") await signIn(page);
    assert.equal(await who(page), "583231");
  });

  await visit("two tabs sign in side by side", async ({ page, context }) => {
    const other = await context.newPage();
    await page.goto(`${origin}/auth/login?return_to=/healthz`);
    await other.goto(`${origin}/auth/login?return_to=/readyz`);
    for (const [tab, to] of [[other, "/readyz"], [page, "/healthz"]]) {
      await tab.getByRole("link", { name: "Sign in with GitHub" }).click();
      await tab.waitForURL(`${origin}${to}`);
      assert.equal(await who(tab), "583231");
    }
  });

  await visit("a page of another site can neither write nor log out", async ({ page, context }) => {
    await signIn(page);
    await page.goto("about:blank");
    await page.setContent(`<form method="post" action="${origin}/auth/logout"><button>x</button></form>`);
    await page.getByRole("button").click();
    await page.waitForLoadState();
    assert.equal((await context.cookies(origin)).length, 1, "the cookie is still there");
    await page.goto(`${origin}/healthz`);
    assert.equal(await who(page), "583231");
  });

  console.log(`${passed} visits, screenshots in ${folder}`);
} finally {
  await browser.close();
  process_.stdin.end();
  front.close();
}
