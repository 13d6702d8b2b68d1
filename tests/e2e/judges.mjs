// The judges from npm: signs or verifies what stands on standard input, answers with one line of JSON.
// Asked as {"judge": …, "op": "sign" | "verify", "secret": …, "body": base64, "headers": {…}}, one line each.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

// The packages are installed beside the build, not beside this file.
const require = createRequire(path.join(process.env.JUDGES, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const resolveEsm = async (name, file) => import(pathToFileURL(path.join(process.env.JUDGES, "node_modules", name, file)).href);

const octokit = await resolveEsm("@octokit/webhooks-methods", "dist-node/index.js");
const standard = await load("standardwebhooks");
const svix = await load("svix");
const Stripe = (await load("stripe")).default;

const webhook = (library) => library.Webhook ?? library.default.Webhook;

const judges = {
  octokit: {
    sign: async (a) => ({ "x-hub-signature-256": await octokit.sign(a.secret, a.text) }),
    verify: async (a) => octokit.verify(a.secret, a.text, a.headers["x-hub-signature-256"]),
  },
  standardwebhooks: {
    sign: async (a) => ({
      "webhook-signature": new (webhook(standard))(a.secret).sign(
        a.headers["webhook-id"], new Date(Number(a.headers["webhook-timestamp"]) * 1000), a.text),
    }),
    verify: async (a) => { new (webhook(standard))(a.secret).verify(a.text, a.headers); return true; },
  },
  svix: {
    verify: async (a) => { new (webhook(svix))(a.secret).verify(a.text, a.headers); return true; },
  },
  stripe: {
    sign: async (a) => ({
      "stripe-signature": new Stripe("sk_test_x").webhooks.generateTestHeaderString({ payload: a.text, secret: a.secret }),
    }),
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  asked.text = Buffer.from(asked.body, "base64").toString("utf8");
  let answer;
  try {
    answer = { value: await judges[asked.judge][asked.op](asked) };
  } catch (fault) {
    answer = { fault: String(fault) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
