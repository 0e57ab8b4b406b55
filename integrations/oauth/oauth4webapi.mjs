// oauth4webapi: checks every answer against the RFCs, field by field.

import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import {
  ACCESS_TOKEN, AGENT_ID, AGENT_KEY, AGENT_SECRET, CLIENT_ID, CLIENT_SECRET, EXCHANGE, ISSUER, assert, check,
} from './report.mjs';

const options = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(ISSUER);
const client = { client_id: CLIENT_ID };
const agent = { client_id: AGENT_ID };
const server = await oauth.processDiscoveryResponse(
  issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options }),
);

const ways = {
  basic: [oauth.ClientSecretBasic(CLIENT_SECRET), oauth.ClientSecretBasic(AGENT_SECRET)],
  post: [oauth.ClientSecretPost(CLIENT_SECRET), oauth.ClientSecretPost(AGENT_SECRET)],
};
const ask = async (way, parameters) => oauth.processClientCredentialsResponse(
  server, client, await oauth.clientCredentialsGrantRequest(server, client, way, parameters, options),
);
const exchange = async (who, way, parameters) => oauth.processGenericTokenEndpointResponse(
  server, who, await oauth.genericTokenEndpointRequest(server, who, way, EXCHANGE, parameters, options),
);
const look = async (way, token) => oauth.processIntrospectionResponse(
  server, client, await oauth.introspectionRequest(server, client, way, token, options),
);
const end = async (who, way, token) => oauth.processRevocationResponse(
  await oauth.revocationRequest(server, who, way, token, options),
);

for (const [name, [own, others]] of Object.entries(ways)) {
  await check(`client credentials, ${name}`, async () => {
    const told = await ask(own, { scope: 'reports:read' });
    assert.equal(told.token_type, 'bearer');
    assert.deepEqual([told.scope, told.expires_in], ['reports:read', 300]);
  });
  await check(`introspection and revocation, ${name}`, async () => {
    const { access_token: token } = await ask(own, {});
    assert.equal((await look(own, token)).active, true);
    await end(agent, others, token);
    assert.equal((await look(own, token)).active, true, 'the token of another');
    await end(client, own, token);
    assert.deepEqual(await look(own, token), { active: false });
    await end(client, own, 'unknown');
  });
  await check(`token exchange with a chain of actors, ${name}`, async () => {
    const subject = { subject_token: CLIENT_SECRET, subject_token_type: ACCESS_TOKEN };
    const first = await exchange(client, own, { ...subject, may_act: AGENT_KEY, scope: 'reports:read' });
    assert.equal(first.issued_token_type, ACCESS_TOKEN);
    const next = { subject_token: first.access_token, subject_token_type: ACCESS_TOKEN };
    const second = await exchange(agent, others, { ...next, expires_in: '60' });
    assert.equal(jose.decodeJwt(second.access_token).act.sub, AGENT_KEY);
    assert.equal((await look(own, second.access_token)).act.sub, AGENT_KEY);
    await end(client, own, first.access_token);
    assert.deepEqual(await look(own, second.access_token), { active: false });
  });
}

await check('errors are read as errors of the protocol', async () => {
  const wrong = oauth.ClientSecretBasic('wrong');
  await assert.rejects(ask(wrong, {}), (error) => error instanceof oauth.WWWAuthenticateChallengeError);
  await assert.rejects(ask(ways.basic[0], { scope: 'secrets:read' }), (error) =>
    error instanceof oauth.ResponseBodyError && error.error === 'invalid_scope');
});

await check('a resource server checks a token by the published keys alone (RFC 9068)', async () => {
  const { access_token: token } = await ask(ways.basic[0], { audience: 'reports' });
  const request = new Request('http://reports/', { headers: { authorization: `Bearer ${token}` } });
  const claims = await oauth.validateJwtAccessToken(server, request, 'reports', {
    ...options, signingAlgorithms: ['EdDSA'],
  });
  assert.equal(claims.client_id, CLIENT_ID);
  await assert.rejects(oauth.validateJwtAccessToken(server, request, 'billing', {
    ...options, signingAlgorithms: ['EdDSA'],
  }));
});

await check('jose checks a token by the published keys, and refuses a forged one', async () => {
  const keys = jose.createRemoteJWKSet(new URL(server.jwks_uri));
  const strict = { issuer: ISSUER, audience: ISSUER, typ: 'at+jwt', algorithms: ['EdDSA'],
    requiredClaims: ['sub', 'client_id', 'jti', 'iat', 'exp', 'scope'] };
  const { access_token: token } = await ask(ways.basic[0], {});
  const { payload, protectedHeader } = await jose.jwtVerify(token, keys, strict);
  assert.equal(payload.client_id, CLIENT_ID);
  assert.deepEqual(Object.keys(protectedHeader).sort(), ['alg', 'kid', 'typ']);
  const [header, , signature] = token.split('.');
  const forged = jose.base64url.encode(JSON.stringify({ ...payload, sub: 'user_other' }));
  await assert.rejects(jose.jwtVerify(`${header}.${forged}.${signature}`, keys, strict));
});
