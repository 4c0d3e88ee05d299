// A person's program, as far as the SDK asks for it: what it keeps between the steps of its sign-in, in memory.

export const REDIRECT = 'http://127.0.0.1/cb';

/** A provider for the SDK's own sign-in; `kept` is what it was given */
export function person(kept, more = {}) {
  return {
    redirectUrl: REDIRECT,
    clientMetadata: { client_name: 'Notes', redirect_uris: [REDIRECT] },
    clientInformation: () => kept.client,
    saveClientInformation: (client) => (kept.client = client),
    tokens: () => kept.tokens,
    saveTokens: (tokens) => (kept.tokens = tokens),
    redirectToAuthorization: (url) => (kept.url = url),
    saveCodeVerifier: (verifier) => (kept.verifier = verifier),
    codeVerifier: () => kept.verifier,
    saveDiscoveryState: (state) => (kept.state = state),
    discoveryState: () => kept.state,
    ...more,
  };
}
