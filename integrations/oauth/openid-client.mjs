// openid-client: the certified client that most Node programs use.

import * as client from 'openid-client';
import {
  ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, EXCHANGE, ISSUER, assert, check,
} from './report.mjs';

const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests] };

for (const [name, way] of [['basic', client.ClientSecretBasic()], ['post', client.ClientSecretPost()]]) {
  await check(`discovery, tokens, introspection, revocation, ${name}`, async () => {
    const metadata = { client_secret: CLIENT_SECRET };
    const config = await client.discovery(new URL(ISSUER), CLIENT_ID, metadata, way, options);
    assert.equal(config.serverMetadata().issuer, ISSUER);
    const told = await client.clientCredentialsGrant(config, { scope: 'reports:read', audience: 'reports' });
    assert.deepEqual([told.scope, told.expiresIn() <= 300], ['reports:read', true]);
    const child = await client.genericGrantRequest(config, EXCHANGE, {
      subject_token: told.access_token, subject_token_type: ACCESS_TOKEN, expires_in: '30',
    });
    const looked = await client.tokenIntrospection(config, child.access_token);
    assert.deepEqual([looked.active, looked.aud, looked.client_id], [true, 'reports', CLIENT_ID]);
    await client.tokenRevocation(config, told.access_token);
    assert.deepEqual(await client.tokenIntrospection(config, child.access_token), { active: false });
  });
}

await check('a wrong secret is refused', async () => {
  const metadata = { client_secret: 'wrong' };
  const config = await client.discovery(new URL(ISSUER), CLIENT_ID, metadata, undefined, options);
  await assert.rejects(client.clientCredentialsGrant(config, {}));
});
