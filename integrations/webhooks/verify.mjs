// The snippet of the how-to page, by one library: `verify.mjs LIBRARY`. One line for each check.

import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

const [library] = process.argv.slice(2);
const { DELIVERIES, PAGE } = process.env;
const deliveries = JSON.parse(readFileSync(DELIVERIES, 'utf8'));
const now = Date.now;

/** Runs a check and tells how it went. */
function check(title, action) {
  try {
    action();
    console.log(`ok      ${title}`);
  } catch (error) {
    console.log(`FAILED  ${title}: ${String(error).split('\n')[0]}`);
  } finally {
    Date.now = now;
  }
}

const snippet = readFileSync(PAGE, 'utf8').match(/```js\n(.*?)```/s)[1];
const file = new URL(`./receive-${library}.mjs`, import.meta.url);
writeFileSync(file, snippet.replace("'standardwebhooks'", `'${library}'`));
const { receive } = await import(file);

/** Whether the Ed25519 signature is by the public key, without any library. */
function fits(publicKey, headers, body) {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(publicKey.slice(5), 'base64')]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  const signed = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  const own = headers['webhook-signature'].split(' ').filter((one) => one.startsWith('v1a,'));
  return own.some((one) => verify(null, signed, key, Buffer.from(one.slice(4), 'base64')));
}

for (const { name, headers, body, secrets, others, public_keys: keys } of deliveries) {
  const at = Number(headers['webhook-timestamp']) * 1000;
  check(`${name}: accepted by each secret that is in use`, () => {
    for (const secret of secrets) assert.deepEqual(receive(secret, headers, body), JSON.parse(body));
  });
  check(`${name}: refused by any other secret`, () => {
    for (const secret of others) assert.equal(receive(secret, headers, body), null);
  });
  check(`${name}: another body, another id, no signature: refused`, () => {
    const tampered = body.replace('key.create', 'key.delete');
    assert.notEqual(tampered, body);
    assert.equal(receive(secrets[0], headers, tampered), null);
    assert.equal(receive(secrets[0], headers, `${body} `), null);
    assert.equal(receive(secrets[0], { ...headers, 'webhook-id': 'delivery_other' }, body), null);
    assert.equal(receive(secrets[0], { ...headers, 'webhook-signature': 'v1,AAAA' }, body), null);
  });
  check(`${name}: 301 seconds early or late: refused, 299 accepted`, () => {
    for (const [seconds, good] of [[-301, false], [-299, true], [299, true], [301, false]]) {
      Date.now = () => at + seconds * 1000;
      assert.equal(receive(secrets[0], headers, body) !== null, good, `${seconds}`);
    }
  });
  check(`${name}: Ed25519 by each public key, and not of another body`, () => {
    for (const key of keys) {
      assert.ok(fits(key, headers, body));
      assert.ok(!fits(key, headers, `${body} `));
    }
  });
}
