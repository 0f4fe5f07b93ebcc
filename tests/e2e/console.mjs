// A real browser looks at the console while Vestibule is under load, and does what an
// operator does. Usage: node console.mjs SERVER PACKAGES PICTURES, where PACKAGES has
// playwright-core.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import http from "node:http";

import { conversation, launch, sleep, until } from "./servers.mjs";

const [server, packages, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const vestibule = conversation(server, [], {});
const { url, console: console_, token } = await vestibule.first();

// A mix of what comes in: most are let in, some present what is bad.
const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
const ask = (path, headers = {}) => new Promise((done, failed) => {
  const request = http.get(`${url}${path}`, { agent, headers }, (response) => {
    response.resume();
    response.on("end", () => done(response));
  });
  request.on("error", failed);
});
let loading = true;
const load = async (number) => {
  for (let turn = number; loading; turn += 1) {
    await ask("/auth/session", turn % 7 === 0 ? {} : { "x-team": "blue" });
    await sleep(0.004 + 0.006 * Math.abs(Math.sin(Date.now() / 4000)));
  }
};
// Fewer than the limit for one address.
const strangers = async () => {
  while (loading) {
    await ask("/auth/session", { "x-team": "red" });
    await sleep(3);
  }
};

const browser = await launch(packages);
let passed = 0;
const test = async (what, act, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  const wrong = [];
  const elsewhere = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) wrong.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(console_).origin)) elsewhere.push(request.url());
  });
  try {
    await act(page);
    assert.deepEqual(wrong, []);
    assert.deepEqual(elsewhere, [], "nothing from elsewhere");
    passed += 1;
    console.log(`ok: ${what}`);
  } catch (error) {
    await page.screenshot({ path: `${folder}/failed.png` });
    throw new Error(`${what}: ${error.message}\nat ${page.url()}`, { cause: error });
  } finally {
    await context.close();
  }
};
const show = (page, name) => page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
const enter = async (page) => {
  await page.goto(console_);
  await page.getByLabel("Admin token").fill(token);
  await page.getByRole("button", { name: "Open the console" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
};
const open = async (page, name) => {
  await page.getByRole("navigation").getByRole("link", { name }).click();
};
const tile = async (page, name) => {
  const text = await page.locator(".tiles div", { has: page.locator("dt", { hasText: name }) }).first().locator("dd").innerText();
  return Number.parseFloat(text.replace(/,/g, ""));
};

const loads = [...[1, 2, 3, 4, 5, 6].map(load), strangers()];
try {
  await test("who has not the token stays outside", async (page) => {
    await page.goto(console_);
    await show(page, "door");
    await page.getByLabel("Admin token").fill("not the token at all");
    await page.keyboard.press("Enter");
    await page.getByText("The token is not the one.").waitFor();
    assert.equal(await page.locator("#house").isVisible(), false);
    await show(page, "door-refused");
  });

  await test("charts move under load", async (page) => {
    await enter(page);
    await until("decisions a second", async () => (await tile(page, "Decisions")) > 20, 20);
    const label = () => page.locator("#decisions svg").getAttribute("aria-label");
    const before = await label();
    await until("another figure", async () => (await label()) !== before, 10);
    await sleep(25);
    assert.match(await label(), /authenticated [\d.,]*[1-9]/);
    const areas = await page.locator("#decisions polygon").count();
    assert.ok(areas >= 3, `${areas} outcomes are drawn`);
    assert.match(await page.locator("#latency svg").getAttribute("aria-label"), /p50 [\d.]+ (µs|ms)/);
    await show(page, "overview");
  });

  await test("the same in the dark, and on a small screen", async (page) => {
    await enter(page);
    await sleep(12);
    await show(page, "overview-dark");
    await page.setViewportSize({ width: 390, height: 800 });
    await sleep(1.5);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing overflows");
    await show(page, "overview-small");
  }, { colorScheme: "dark" });

  await test("a denial is there with its reason", async (page) => {
    const response = await ask("/api/v1/users/me", { "x-team": "plum" });
    assert.equal(response.statusCode, 401);
    const id = response.headers["x-request-id"];
    await enter(page);
    await open(page, "Denials");
    const row = page.locator("#denial-rows tr", { hasText: id });
    await row.waitFor();
    assert.match(await row.innerText(), /another team/);
    assert.match(await row.innerText(), /\/api\/v1\/users\/me/);
    await show(page, "denials");
  });

  await test("a session that is ended is over", async (page) => {
    await enter(page);
    await open(page, "Sessions");
    const rows = page.locator("#session-rows tbody tr");
    await until("three sessions", async () => (await rows.count()) === 3, 10);
    await show(page, "sessions");
    await page.getByRole("button", { name: "End a session of ada" }).click();
    await show(page, "session-asked");
    await page.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await rows.count(), 3);
    await page.getByRole("button", { name: "End a session of ada" }).click();
    await page.locator("#ask-yes").click();
    await until("two sessions", async () => (await rows.count()) === 2, 10);
    await page.getByRole("searchbox", { name: "User" }).fill("grace");
    await until("one user's", async () => (await rows.count()) === 1, 10);
  });

  await test("a key that is revoked is gone", async (page) => {
    await enter(page);
    await open(page, "API keys");
    const rows = page.locator("#key-rows tbody tr");
    await until("six keys", async () => (await rows.count()) === 6, 10);
    await show(page, "keys");
    await page.getByRole("button", { name: "Revoke the key laptop of linus" }).click();
    await page.locator("#ask-yes").click();
    await until("five keys", async () => (await rows.count()) === 5, 10);
  });

  await test("a component that asks for more is approved and rolled back", async (page) => {
    await enter(page);
    await open(page, "Strategy");
    await page.getByText("serving").first().waitFor();
    await show(page, "strategy");
    assert.equal(await vestibule.tell("upgrade"), "done");
    await page.getByText("waits for approval").waitFor({ timeout: 30000 });
    await show(page, "strategy-waits");
    await page.getByRole("button", { name: "Review and approve" }).click();
    const asked = page.getByRole("dialog");
    assert.match(await asked.innerText(), /x-tram/);
    await show(page, "strategy-approve");
    await asked.getByRole("button", { name: "Approve" }).click();
    await page.locator(".generation", { hasText: "0.3.0" }).first().waitFor();
    await page.getByRole("button", { name: "Roll back" }).first().waitFor();
    await show(page, "strategy-approved");
    await page.getByRole("button", { name: "Roll back" }).click();
    await show(page, "strategy-rollback");
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    const serving = page.locator(".generation h2", { hasText: "serving" });
    await until("the version before", async () => (await serving.first().innerText()).includes("0.1.0"), 15);
  });

  await test("a lower version is approved only by who was told that it is one", async (page) => {
    await enter(page);
    await open(page, "Strategy");
    assert.equal(await vestibule.tell("downgrade"), "done");
    await page.getByText("its version 0.0.9 is lower").first().waitFor({ timeout: 30000 });
    const sent = [];
    page.on("request", (request) => {
      if (request.url().endsWith("strategies/approve")) sent.push(request.postDataJSON().allow_downgrade);
    });
    const review = async () => {
      await page.getByRole("button", { name: "Review and approve" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Approve" }).click();
      await page.getByRole("heading", { name: "Take a lower version?" }).waitFor();
    };
    await review();
    await show(page, "strategy-downgrade");
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    assert.deepEqual(sent, []);
    await review();
    await page.getByRole("dialog").getByRole("button", { name: "Take the lower version" }).click();
    await page.locator(".generation", { hasText: "0.0.9" }).first().waitFor();
    assert.deepEqual(sent, [true]);
  });

  await test("the audit tells of all this", async (page) => {
    await enter(page);
    await open(page, "Audit");
    for (const action of ["session.end", "key.revoke", "admin.approve", "admin.rollback"]) {
      await page.locator("#audit-rows tr", { hasText: action }).first().waitFor();
    }
    await show(page, "audit");
  });

  await test("a keyboard is enough, and the token goes with the tab", async (page) => {
    await enter(page);
    await page.locator("body").press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "To the content");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Strategy", exact: true }).waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Admin token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.reload();
    await page.getByLabel("Admin token").waitFor();
  });
  console.log(`${passed} passed; the pictures are in ${folder}`);
} finally {
  loading = false;
  await Promise.allSettled(loads);
  agent.destroy();
  await browser.close();
  vestibule.stop();
}
