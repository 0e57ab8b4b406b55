// One line for each check, as integrations/oauth.py reads them.

import assert from 'node:assert/strict';

/** What the environment says: the issuer, and two clients. */
export const { ISSUER, CLIENT_ID, CLIENT_SECRET, AGENT_ID, AGENT_SECRET, AGENT_KEY } = process.env;

export const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
export const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';

/** Runs a check and tells how it went. */
export async function check(title, action) {
  try {
    await action();
    console.log(`ok      ${title}`);
  } catch (error) {
    console.log(`FAILED  ${title}: ${String(error?.cause?.message ?? error).split('\n')[0]}`);
  }
}

export { assert };
