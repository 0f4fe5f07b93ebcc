// What the tests with a real identity provider share: Vestibule as a process, a proxy
// that counts, and Chromium.

import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

export const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

// A port that nobody listens on now.
export const freePort = () =>
  new Promise((done) => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

// Asks until the answer is good.
export const until = async (what, ask, seconds = 60) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const good = await ask().catch(() => false);
    if (good) return good;
    if (Date.now() > end) throw new Error(`${what} does not come to pass`);
    await sleep(0.3);
  }
};

// Every request that reaches what is behind it is counted and noted.
export const countingProxy = async (port, upstream) => {
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(`${request.method} ${request.url.split("?")[0]}`);
    const { method, url, headers } = request;
    const onward = http.request({ host: "127.0.0.1", port: upstream, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((ready) => server.listen(port, "127.0.0.1", ready));
  return {
    seen,
    // How many there have been of a path since a mark.
    since: (mark, path = "") => seen.slice(mark).filter((asked) => asked.endsWith(path)).length,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
};

// Vestibule with a configuration; its lines go where those of the test go.
export const vestibule = async (program, folder, port, toml) => {
  mkdirSync(folder, { recursive: true });
  const file = `${folder}/vestibule.toml`;
  writeFileSync(file, toml, { mode: 0o600 });
  const running = spawn(program, ["serve", "--config", file], { stdio: ["ignore", "inherit", "inherit"] });
  let ended = null;
  running.on("exit", (code) => { ended = code ?? 1; });
  await until("Vestibule", async () => {
    if (ended !== null) throw new Error(`Vestibule ended with ${ended}`);
    return (await fetch(`http://127.0.0.1:${port}/readyz`)).ok;
  }, 20);
  return { stop: () => stop(running) };
};

export const stop = (running, signal = "SIGTERM") =>
  new Promise((done) => {
    if (running.exitCode !== null || running.signalCode !== null) return done();
    running.on("exit", done);
    running.kill(signal);
  });

// A process that is told a line and answers with one.
export const conversation = (program, parameters, environment) => {
  const running = spawn(program, parameters, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ...environment },
  });
  const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("it ended");
    return JSON.parse(value);
  };
  return {
    // What it says of itself, where it does.
    first: next,
    tell: (line) => {
      running.stdin.write(`${line}\n`);
      return next();
    },
    stop: () => { running.stdin.end(); },
  };
};

export const launch = (packages) => {
  const { chromium } = createRequire(`${packages}/`)("playwright-core");
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
};
