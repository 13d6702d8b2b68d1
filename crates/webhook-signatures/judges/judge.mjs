// Official JavaScript libraries as judges: they must accept what the crate signs and refuse it once a byte is changed,
// and the crate must accept what they sign. Run by `judges/run`, which gives the folder of node_modules.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";

const [binary, modules] = process.argv.slice(2);
const require = createRequire(`${modules}/index.js`);
// Of the moment: some libraries take no more than five seconds, and loading them takes time.
const now = () => Math.floor(Date.now() / 1000);
const URL_ = "https://hooks.example.com/in/x?a=1";
const BODY = '{"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"object": {"name": "é"}}}';
const STANDARD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

const pipe = spawn(binary, [], { stdio: ["pipe", "pipe", "inherit"] });
const lines = createInterface({ input: pipe.stdout })[Symbol.asyncIterator]();
async function ask(asked) {
  pipe.stdin.write(JSON.stringify(asked) + "\n");
  return JSON.parse((await lines.next()).value);
}
const base64 = (text) => Buffer.from(text).toString("base64");
async function sign(provider, secret, body = BODY, headers = { "content-type": "application/json" }) {
  const sent = await ask({ op: "sign", provider, secret, body: base64(body), url: URL_, headers, settings: {}, method: "POST", id: "evt_1", now: now() });
  if (sent.error) throw new Error(sent.error);
  return { ...sent, body: Buffer.from(sent.body, "base64").toString() };
}
async function accepts(provider, secret, headers, body = BODY, url = URL_) {
  const settings = provider === "aws-sns" ? { topic_arn: "*" } : {};
  const found = await ask({ op: "verify", provider, secret, body: base64(body), url, headers, settings, method: "POST", id: "", now: now() });
  return found.ok === true;
}
function must(truth, why) {
  if (!truth) throw new Error(why);
}
async function passes(check, ...given) {
  try {
    return (await check(...given)) !== false;
  } catch {
    return false;
  }
}

// Ours must pass theirs, changed it must not; theirs must pass ours, changed it must not.
async function both(provider, secret, check, theirs, body = BODY, headers) {
  const sent = await sign(provider, secret, body, headers);
  must(await passes(check, sent.headers, sent.body), "it refuses what we sign");
  must(!(await passes(check, sent.headers, sent.body.replace("evt_1", "evt_2"))), "it accepts a changed body");
  if (!theirs) return "ours to theirs";
  const signed = await theirs(body);
  must(await accepts(provider, secret, signed, body), "we refuse what it signs");
  must(!(await accepts(provider, secret, signed, body + " ")), "we accept a changed body");
  return "both ways";
}

const web = (headers, body) => new Request(URL_, { method: "POST", headers, body });

const judges = {
  async "@octokit/webhooks-methods"() {
    const lib = await load("@octokit/webhooks-methods");
    const check = (h, b) => lib.verify("a secret", b, h["x-hub-signature-256"]);
    return both("github", "a secret", check, async (b) => ({ "X-Hub-Signature-256": await lib.sign("a secret", b) }));
  },
  async stripe() {
    const lib = new (require("stripe"))("sk_test_1");
    const check = (h, b) => !!lib.webhooks.constructEvent(b, h["stripe-signature"], "whsec_1");
    return both("stripe", "whsec_1", check, (payload) => ({
      "Stripe-Signature": lib.webhooks.generateTestHeaderString({ payload, secret: "whsec_1" }),
    }));
  },
  async "@notionhq/client"() {
    const lib = require("@notionhq/client");
    const token = "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl";
    const check = (h, b) => lib.verifyWebhookSignature({ body: b, signature: h["x-notion-signature"], verificationToken: token });
    return both("notion", token, check, async (body) => ({
      "X-Notion-Signature": await lib.signWebhookPayload({ body, verificationToken: token }),
    }));
  },
  async "@linear/sdk"() {
    const { LinearWebhookClient } = require("@linear/sdk/webhooks");
    const lib = new LinearWebhookClient("a secret");
    const check = (h, b) => lib.verify(Buffer.from(b), h["linear-signature"]);
    return both("linear", "a secret", check, null, `{"type":"Issue","id":"evt_1","webhookTimestamp":1}`);
  },
  async "@line/bot-sdk"() {
    const lib = require("@line/bot-sdk");
    return both("line", "a secret", (h, b) => lib.validateSignature(b, "a secret", h["x-line-signature"]));
  },
  async "@slack/bolt"() {
    const { verifySlackRequest } = require("@slack/bolt/dist/receivers/verify-request.js");
    const check = (h, body) => verifySlackRequest({ signingSecret: "a secret", body, headers: h });
    return both("slack", "a secret", check);
  },
  async "@shopify/shopify-api"() {
    require("@shopify/shopify-api/adapters/node");
    const { shopifyApi, ApiVersion } = require("@shopify/shopify-api");
    const lib = shopifyApi({ apiKey: "k", apiSecretKey: "a secret", hostName: "x.example", isEmbeddedApp: false, apiVersion: Object.values(ApiVersion).at(-2), logger: { level: 0 } });
    const given = { "X-Shopify-Topic": "orders/create", "X-Shopify-Shop-Domain": "x.myshopify.com", "X-Shopify-API-Version": "2025-07", "X-Shopify-Webhook-Id": "w" };
    const check = async (h, rawBody) => {
      const raw = { method: "POST", url: URL_, headers: h };
      return (await lib.webhooks.validate({ rawBody, rawRequest: raw, rawResponse: {} })).valid;
    };
    return both("shopify", "a secret", check, null, BODY, given);
  },
  async "@clerk/backend"() {
    const lib = await load("@clerk/backend/webhooks");
    return both("clerk", STANDARD, async (h, b) => !!(await lib.verifyWebhook(web(h, b), { signingSecret: STANDARD })));
  },
  async svix() {
    const { Webhook } = require("svix");
    const lib = new Webhook(STANDARD);
    return both("svix", STANDARD, (h, b) => !!lib.verify(b, h), (b, at = now()) => ({
      "svix-id": "m1", "svix-timestamp": `${at}`, "svix-signature": lib.sign("m1", new Date(at * 1000), b),
    }));
  },
  async standardwebhooks() {
    const { Webhook } = require("standardwebhooks");
    const lib = new Webhook(STANDARD);
    return both("standard-webhooks", STANDARD, (h, b) => !!lib.verify(b, h), (b, at = now()) => ({
      "webhook-id": "m1", "webhook-timestamp": `${at}`, "webhook-signature": lib.sign("m1", new Date(at * 1000), b),
    }));
  },
  async replicate() {
    const { validateWebhook } = require("replicate");
    const check = (h, b) => validateWebhook({ id: h["webhook-id"], timestamp: h["webhook-timestamp"], signature: h["webhook-signature"], body: b, secret: STANDARD });
    return both("replicate", STANDARD, check);
  },
  async "@mux/mux-node"() {
    const Mux = require("@mux/mux-node").default;
    const lib = new Mux({ tokenId: "a", tokenSecret: "b" });
    return both("mux", "a secret", async (h, b) => {
      await lib.webhooks.verifySignature(b, h, "a secret");
    });
  },
  async "@paddle/paddle-node-sdk"() {
    const { Paddle } = require("@paddle/paddle-node-sdk");
    const lib = new Paddle("key");
    const check = async (h, b) => !!(await lib.webhooks.unmarshal(b, "a secret", h["paddle-signature"]));
    return both("paddle", "a secret", check, null, '{"event_id":"evt_1","event_type":"address.created","occurred_at":"2026-01-01T00:00:00Z","notification_id":"n","data":{"id":"add_1"}}');
  },
  async square() {
    const { WebhooksHelper } = require("square");
    const check = (h, b) => WebhooksHelper.verifySignature({ requestBody: b, signatureHeader: h["x-square-hmacsha256-signature"], signatureKey: "a secret", notificationUrl: URL_ });
    return both("square", "a secret", check);
  },
  async "@sendgrid/eventwebhook"() {
    const { EventWebhook } = require("@sendgrid/eventwebhook");
    const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
    const der = pair.publicKey.export({ type: "spki", format: "der" }).toString("base64");
    const lib = new EventWebhook();
    const name = "x-twilio-email-event-webhook-";
    return both("sendgrid", pem, (h, b) => lib.verifySignature(lib.convertPublicKeyToECDSA(der), b, h[name + "signature"], h[name + "timestamp"]));
  },
  async "discord-interactions"() {
    const { verifyKey } = require("discord-interactions");
    const pair = generateKeyPairSync("ed25519");
    const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" });
    const hex = pair.publicKey.export({ type: "spki", format: "der" }).subarray(-32).toString("hex");
    return both("discord", pem, (h, b) => verifyKey(b, h["x-signature-ed25519"], h["x-signature-timestamp"], hex));
  },
  async razorpay() {
    const Razorpay = require("razorpay");
    return both("razorpay", "a secret", (h, b) => Razorpay.validateWebhookSignature(b, h["x-razorpay-signature"], "a secret"));
  },
  async "@vonage/jwt"() {
    const lib = require("@vonage/jwt");
    const secret = "vonage-signature-secret-0123456789ab";
    const token = (await sign("vonage", secret)).headers.authorization.slice(7);
    must(lib.verifySignature(token, secret), "it refuses what we sign");
    must(!(await passes(lib.verifySignature, token, secret + "x")), "it accepts another secret");
    return "ours to theirs";
  },
  async messagebird() {
    const { createSecretKey } = require("crypto");
    const lib = require("messagebird/lib/webhook-signature-jwt.js");
    const key = createSecretKey(Buffer.from("a secret"));
    const check = (h, b) => lib.verify(URL_, Buffer.from(b), h["messagebird-signature-jwt"], key);
    return both("messagebird", "a secret", check);
  },
  async "@sanity/webhook"() {
    const lib = require("@sanity/webhook");
    const check = (h, b) => lib.isValidSignature(b, h["sanity-webhook-signature"], "a secret");
    return both("sanity", "a secret", check, async (b) => ({
      "sanity-webhook-signature": await lib.encodeSignatureHeader(b, now() * 1000, "a secret"),
    }));
  },
  async "@contentful/node-apps-toolkit"() {
    const lib = require("@contentful/node-apps-toolkit");
    const secret = "a".repeat(64);
    const check = (h, body) => lib.verifyRequest(secret, { method: "POST", path: "/in/x?a=1", headers: h, body }, 30);
    const given = { "content-type": "application/json" };
    return both("contentful", secret, check, (body) => ({
      ...given, ...lib.signRequest(secret, { method: "POST", path: "/in/x?a=1", headers: given, body }, now() * 1000),
    }));
  },
  async "sns-validator"() {
    const Validator = require("sns-validator");
    const https = require("https");
    const { execFileSync } = require("child_process");
    const pem = execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "-", "-out", "-", "-subj", "/CN=sns.us-east-1.amazonaws.com", "-days", "2"], { stdio: ["ignore", "pipe", "ignore"] }).toString();
    const [key] = pem.match(/-----BEGIN PRIVATE KEY-----[^]+?-----END PRIVATE KEY-----/);
    const [certificate] = pem.match(/-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/);
    const { EventEmitter } = require("events");
    https.get = (_, answer) => {
      const response = Object.assign(new EventEmitter(), { statusCode: 200 });
      setImmediate(() => (answer(response), response.emit("data", Buffer.from(certificate)), response.emit("end")));
      return new EventEmitter();
    };
    const message = { Type: "Notification", MessageId: "evt_1", TopicArn: "arn:aws:sns:us-east-1:1:t", Subject: "s", Message: 'Hello "wörld"\nline2', Timestamp: "2026-01-01T00:00:00.000Z", SignatureVersion: "2", SigningCertURL: "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-00.pem", Signature: "" };
    const lib = new Validator();
    const check = (_, b) => new Promise((done) => lib.validate(JSON.parse(b), (error) => done(!error)));
    await both("aws-sns", key, check, null, JSON.stringify(message));
    const { body } = await sign("aws-sns", key, JSON.stringify(message));
    must(await accepts("aws-sns", certificate, {}, body), "we refuse our own by the certificate");
    return "ours to theirs, by a certificate";
  },
};

// A package that is only to be imported, and that `require` therefore does not find.
async function load(name) {
  const [scope, own, ...inside] = name.split("/");
  const folder = `${modules}/node_modules/${scope}/${own}`;
  const { exports } = require(`${folder}/package.json`);
  let found = exports[["." , ...inside].join("/")];
  while (typeof found === "object") found = found.node ?? found.import ?? found.default;
  return import(`${folder}/${found}`);
}

let failed = 0;
for (const [name, judge] of Object.entries(judges)) {
  try {
    console.log(`ok    ${name.padEnd(32)} ${await judge()}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name.padEnd(32)} ${String(error.stack ?? error).split("\n").slice(0, 2).join(" ")}`);
  }
}
console.log(`${Object.keys(judges).length - failed} JavaScript judges agree, ${failed} do not`);
pipe.stdin.end();
process.exitCode = failed ? 1 : 0;
