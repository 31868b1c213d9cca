"use strict";

const assert = require("node:assert");
const Module = require("node:module");
const test = require("node:test");

function loaded(command, startFails) {
  const seen = { clients: [], commands: {}, errors: [], changed: null };
  const vscode = {
    workspace: {
      getConfiguration: () => ({ get: () => command }),
      onDidChangeConfiguration: (listener) => {
        seen.changed = listener;
        return {};
      },
    },
    window: { showErrorMessage: (text) => seen.errors.push(text) },
    commands: {
      registerCommand: (name, run) => {
        seen.commands[name] = run;
        return {};
      },
    },
  };
  class LanguageClient {
    constructor(id, name, server, options) {
      Object.assign(this, { server, options, state: "new" });
      seen.clients.push(this);
    }
    async start() {
      if (startFails) throw new Error("spawn hdsl ENOENT");
      this.state = "started";
    }
    async stop() {
      this.state = "stopped";
    }
  }
  const load = Module._load;
  Module._load = (name, ...rest) => {
    if (name === "vscode") return vscode;
    if (name === "vscode-languageclient/node") return { LanguageClient };
    return load(name, ...rest);
  };
  delete require.cache[require.resolve("../extension.js")];
  const extension = require("../extension.js");
  Module._load = load;
  return { extension, seen };
}

test("it starts the command that is configured, for studies", async () => {
  const { extension, seen } = loaded(["python3", "-m", "hdsl", "lsp"], false);
  const context = { subscriptions: [] };
  await extension.activate(context);
  assert.deepStrictEqual(seen.clients[0].server, { command: "python3", args: ["-m", "hdsl", "lsp"] });
  assert.deepStrictEqual(seen.clients[0].options.documentSelector, [{ language: "hdm" }]);
  assert.strictEqual(context.subscriptions.length, 2);
  await extension.deactivate();
  assert.strictEqual(seen.clients[0].state, "stopped");
});

test("it restarts by command and where its setting changes", async () => {
  const { extension, seen } = loaded(["hdsl", "lsp"], false);
  await extension.activate({ subscriptions: [] });
  await seen.commands["hdsl.restart"]();
  await seen.changed({ affectsConfiguration: (name) => name === "hdsl.command" });
  await seen.changed({ affectsConfiguration: () => false });
  assert.deepStrictEqual(seen.clients.map((client) => client.state), ["stopped", "stopped", "started"]);
});

test("it says what to install where the server does not start", async () => {
  const { extension, seen } = loaded(["hdsl", "lsp"], true);
  await extension.activate({ subscriptions: [] });
  assert.match(seen.errors[0], /pip install "hdsl\[lsp\]"/);
  await extension.deactivate();
});
