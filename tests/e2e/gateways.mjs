// Real gateways in front of Vestibule, with the configurations that ship in
// examples/gateways and README.md, a real browser, and a scripted GitHub.
// Usage: node gateways.mjs SERVER PACKAGES FOLDER EXAMPLES GATEWAY=PROGRAM…

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import tls from "node:tls";

const [server, packages, folder, examples, ...gateways] = process.argv.slice(2);
const { chromium } = createRequire(`${packages}/`)("playwright-core");

const freePort = () => new Promise((found) => {
  const probe = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = probe.address();
    probe.close(() => found(port));
  });
});
const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const listens = async (port) => {
  for (let tries = 0; tries < 200; tries += 1) {
    const open = await new Promise((told) => {
      const socket = net.connect(port, "127.0.0.1", () => { socket.destroy(); told(true); });
      socket.on("error", () => told(false));
    });
    if (open) return;
    await pause(50);
  }
  throw new Error(`nothing listens on ${port}`);
};

// The shipped configuration, with other ports.
const installed = (to, ports) => {
  rmSync(to, { recursive: true, force: true });
  cpSync(examples, to, { recursive: true });
  // What the README shows, in the place of the app's locations.
  const [, shown] = readFileSync(`${examples}/../../README.md`, "utf8").split("```nginx\n");
  const whole = readFileSync(`${to}/nginx/nginx.conf`, "utf8");
  const [before] = whole.split("\n    # Where browsers get");
  assert.match(before, /server_name wiki\.localhost;\n$/);
  writeFileSync(`${to}/nginx/readme.conf`, `${before}${shown.split("```")[0]}  }\n}\n`);
  const change = (name) => {
    const path = `${to}/${name}`;
    if (statSync(path).isDirectory()) {
      for (const inner of readdirSync(path)) change(`${name}/${inner}`);
    } else if (!name.endsWith(".pem")) {
      const text = readFileSync(path, "utf8");
      writeFileSync(path, text.replace(/\b(8443|8080|3000|3001)\b/g, (port) => ports[port]));
    }
  };
  for (const name of readdirSync(to)) change(name);
};

let stop = [];
const start = (program, args, options) => {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"], ...options });
  stop.push(() => child.kill("SIGTERM"));
  return child;
};

// One request by hand, so that nobody corrects it.
const raw = (port, host, text, waits = 3_000) => new Promise((told) => {
  const socket = tls.connect({ port, host: "127.0.0.1", servername: host, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
  let answer = "";
  const done = () => { socket.destroy(); told(answer); };
  socket.setTimeout(waits, done);
  socket.on("secureConnect", () => socket.write(text));
  socket.on("data", (data) => { answer += data.toString("latin1"); });
  socket.on("end", done);
  socket.on("error", done);
});
const status = (answer) => Number(answer.split(" ")[1] ?? 0);
const head = (answer) => answer.split("\r\n\r\n")[0].toLowerCase();

// `envoy/envoy-grpc` is another configuration in the folder of `envoy`. The README's passes
// on who it is, and nothing else.
const run = async (name, program) => {
  const [gateway, configuration] = name.split("/");
  const [https, app, vestibule, grpc] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const brief = configuration === "readme";
  const place = `${folder}/${gateway}`;
  installed(place, { "8443": String(https), "8080": String(app), "3000": String(vestibule), "3001": String(grpc) });
  const [auth, wiki] = [`https://auth.localhost:${https}`, `https://wiki.localhost:${https}`];
  start("python3", [`${place}/app.py`, String(app)]);
  const host = start(server, [auth, `${place}/vestibule.toml`, String(vestibule), String(grpc)]);
  const lines = createInterface({ input: host.stdout })[Symbol.asyncIterator]();
  await lines.next();
  const env = { ...process.env, ONLY_GATEWAY: "1", GATEWAY: program };
  const front = start("sh", [`${place}/${gateway}/run`, ...(configuration ? [configuration] : [])], { env, detached: true });
  stop.push(() => { try { process.kill(-front.pid, "SIGTERM"); } catch { /* it has ended */ } });
  front.stdout.resume();
  await listens(app);
  await listens(https);

  const ok = (what) => console.log(`ok: ${name}: ${what}`);
  const ask = (path, headers = [], method = "GET") => {
    const all = [`Host: wiki.localhost:${https}`, "Connection: close", ...headers];
    return raw(https, "wiki.localhost", `${method} ${path} HTTP/1.1\r\n${all.join("\r\n")}\r\n\r\n`);
  };
  // Traefik listens before it has read its routes.
  for (let tries = 0; tries < 200 && [0, 404].includes(status(await ask("/a"))); tries += 1) await pause(50);
  const seen = (answer) => {
    assert.equal(status(answer), 200, answer);
    const body = answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1);
    const { headers, ...rest } = JSON.parse(body);
    // As CGI reads names, which takes whatever is neither a letter nor a digit for the same.
    const fold = (name) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "-");
    const of = (name) => headers.filter(([found]) => fold(found) === name).map(([, value]) => value);
    return { ...rest, of };
  };

  // Programs keep their 401, with what to present.
  for (const headers of [[], ["Accept: application/json"], ["Authorization: Bearer nonsense", "Accept: text/html"]]) {
    const answer = await ask("/a", headers);
    assert.equal(status(answer), 401, answer);
    assert.match(head(answer), /www-authenticate: bearer realm="vestibule"/, answer);
  }
  ok("a program without a credential is told 401");

  // What is public is, and what only looks so is not.
  const open = seen(await ask("/assets/a.css", ["Remote-User: root", "Remote-Groups: admins"]));
  assert.deepEqual([open.of("remote-user").join(), open.of("remote-groups").join()], ["", ""]);
  assert.equal(seen(await ask("/hooks/x", ["Content-Length: 0"], "POST")).method, "POST");
  for (const [path, method] of [
    ["/assets/../a", "GET"], ["/assets/%2e%2e/a", "GET"], ["/assets/..%2fa", "GET"],
    ["/assets/..;/a", "GET"], ["//assets/../a", "GET"], ["/assets/%252e%252e/a", "GET"],
    ["/assets", "GET"], ["/assetsx", "GET"], ["/a?/assets/", "GET"], ["/assets/a", "POST"], ["/hooks/x", "GET"],
  ]) {
    const answer = await ask(path, method === "POST" ? ["Content-Length: 0"] : [], method);
    assert.ok([400, 401, 403, 404].includes(status(answer)), `${method} ${path}: ${answer}`);
    assert.ok(!answer.includes('"headers"'), `${path} reached the app`);
  }
  ok("public paths are public, and nothing else is");

  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  stop.push(() => browser.close());
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const url = `${wiki}/a?x=1&y=%2F`;
  try {
    await page.goto(url);
    assert.equal(new URL(page.url()).origin, auth, "at the log-in page");
    assert.ok((await page.locator("body").innerText()).includes(url), "which says what was asked for");
    await page.getByRole("link", { name: "Sign in with GitHub" }).click();
    await page.waitForURL(url);
  } catch (error) {
    await page.screenshot({ path: `${folder}/${gateway}.png` });
    throw new Error(`${gateway}: ${error.message}\nat ${page.url()}`, { cause: error });
  }
  const shown = JSON.parse(await page.locator("body").innerText());
  const values = (name) => shown.headers.filter(([found]) => found.toLowerCase() === name).map(([, value]) => value);
  assert.equal(shown.path, "/a?x=1&y=%2F");
  assert.deepEqual(values("remote-user"), ["583231"]);
  assert.equal(values("remote-assertion").length, brief ? 0 : 1);
  ok("a person signs in and is back at the page that was asked for");

  const cookies = await context.cookies(wiki);
  const own = cookies.find(({ name }) => name === "__Host-vestibule-app");
  assert.ok(own.httpOnly && own.secure && own.sameSite === "Lax", JSON.stringify(own));
  const cookie = `Cookie: ${own.name}=${own.value}`;

  // Whatever a client says of itself, the app learns who it is, once, or nothing at all.
  const right = values("remote-user")[0];
  for (const spoof of [
    ["Remote-User: root", "Remote-Groups: admins", "Remote-Email: root@example", "Remote-Name: root", "Remote-Assertion: x.y.z"],
    ["Remote-User: root", "Remote-User: admin"],
    ["Remote_User: root", "Remote_Groups: admins"],
    ["remote_user: root", "REMOTE-USER: root"],
    ["Remote.User: root", "Remote~Groups: admins", "remote.assertion: x.y.z", "Remote!Name: root"],
    ["Remote-User : root"],
    ["Connection: close, Remote-User, Remote-Groups, Remote-Assertion"],
    ["X-Original-URL: https://wiki.localhost/assets/", "X-Forwarded-Uri: /assets/", "X-Forwarded-Host: auth.localhost"],
    ["X-Envoy-Auth-Headers-To-Remove: remote-user"],
  ]) {
    const answer = await ask("/a", [cookie, ...spoof]);
    if (status(answer) === 200) {
      const app = seen(answer);
      assert.deepEqual(app.of("remote-user"), [right], `${spoof}: ${answer}`);
      for (const name of ["remote-groups", "remote-email", "remote-name"]) {
        assert.ok(app.of(name).every((value) => !value.includes("root") && !value.includes("admin")), `${spoof}: ${answer}`);
      }
      assert.deepEqual(app.of("remote-assertion").map((token) => token.split(".").length), brief ? [] : [3], `${spoof}: ${answer}`);
    } else {
      assert.ok([400, 401, 403].includes(status(answer)), `${spoof}: ${answer}`);
    }
    const stranger = await ask("/a", spoof);
    assert.ok([400, 401, 403].includes(status(stranger)), `${spoof}: ${stranger}`);
  }
  ok("what a client says of itself never reaches the app");

  // Two names in one request: the one that is routed by decides.
  for (const [target, name] of [["wiki.localhost", "auth.localhost"], ["auth.localhost", "wiki.localhost"]]) {
    const text = `GET https://${target}:${https}/a HTTP/1.1\r\nHost: ${name}:${https}\r\nConnection: close\r\n\r\n`;
    const answer = await raw(https, name, text);
    assert.ok(!answer.includes('"headers"'), answer);
  }
  ok("a request that names two hosts does not pass as the other");

  const upgrade = (headers) => new Promise((told) => {
    const socket = tls.connect({ port: https, host: "127.0.0.1", servername: "wiki.localhost", rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] });
    let answer = Buffer.alloc(0);
    const done = () => { socket.destroy(); told(answer.toString("latin1")); };
    socket.setTimeout(3_000, done);
    socket.on("error", done);
    socket.on("end", done);
    socket.on("secureConnect", () => socket.write([
      "GET /socket HTTP/1.1", `Host: wiki.localhost:${https}`, "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", ...headers, "", "",
    ].join("\r\n")));
    let sent = false;
    socket.on("data", (data) => {
      answer = Buffer.concat([answer, data]);
      if (!sent && answer.includes("\r\n\r\n") && answer.toString("latin1").startsWith("HTTP/1.1 101")) {
        sent = true;
        socket.write(Buffer.from([0x81, 0x85, 0, 0, 0, 0, ...Buffer.from("hello")]));
      } else if (answer.includes("hello")) done();
    });
  });
  assert.equal(status(await upgrade([])), 401);
  if (!brief) {
    const talked = await upgrade([cookie]);
    assert.match(talked, /^HTTP\/1.1 101/, talked);
    assert.ok(talked.includes(`${right} said hello`), talked);
    ok("a WebSocket passes for who is let in, and for nobody else");
  }

  await page.goto(`${auth}/auth/login`);
  await page.getByRole("button", { name: "Sign out" }).click();
  assert.ok([401, 403].includes(status(await ask("/a", [cookie]))), "the other host as well");
  await page.goto(url);
  assert.equal(new URL(page.url()).origin, auth);
  await page.getByRole("link", { name: "Sign in with GitHub" }).click();
  await page.waitForURL(url);
  const again = (await context.cookies(wiki)).find(({ name }) => name === "__Host-vestibule-app");
  const live = `Cookie: ${again.name}=${again.value}`;
  seen(await ask("/a", [live]));
  ok("a log-out is one on every host");

  host.kill("SIGKILL");
  await pause(200);
  for (const path of ["/a", "/assets/a.css", "/hooks/x"]) {
    for (const headers of [[], [live], [live, "Remote-User: root"]]) {
      const answer = await ask(path, headers);
      assert.ok(status(answer) >= 400, `${path}: ${answer}`);
      assert.ok(!answer.includes('"headers"'), `${path} reached the app: ${answer}`);
    }
  }
  ok("with Vestibule dead, nothing passes");
};

mkdirSync(folder, { recursive: true });
try {
  for (const entry of gateways) {
    const [gateway, program] = entry.split("=");
    try {
      await run(gateway, program);
    } finally {
      for (const end of stop.reverse()) await end();
      stop = [];
    }
  }
} finally {
  for (const end of stop) await end();
}
process.exit(0);
