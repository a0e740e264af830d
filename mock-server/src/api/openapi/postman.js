// Fetches what the request speaks of: the session of a customer, and what is made with it. It is set
// for this request alone, so nothing of it is kept in the collection.
const written = JSON.stringify(pm.request);
const speaksOf = (...names) => names.some((name) => written.includes(`{{${name}}}`));

function post(path, token, body, then) {
  const header = { 'Content-Type': 'application/json' };
  if (token) header.Authorization = `Bearer ${token}`;
  const url = pm.variables.get('baseUrl') + path;
  const request = { url, method: 'POST', header, body: { mode: 'raw', raw: JSON.stringify(body) } };
  pm.sendRequest(request, (error, answer) => {
    if (error) throw error;
    if (answer.code >= 300) throw new Error(`POST ${path}: ${answer.text()}`);
    then(answer.json());
  });
}

const solution = { solution_id: pm.variables.get('solution') };

if (speaksOf('visitorToken')) {
  post('/api/generate-token', pm.variables.get('secretKey'), solution, (pair) => {
    pm.variables.set('visitorToken', pair.access_token);
  });
}

if (speaksOf('session', 'code', 'token', 'tokenPair', 'tokenId')) {
  const customer = { email: pm.variables.get('email'), password: pm.variables.get('password') };
  post('/api/sessions', null, customer, ({ access_token: session }) => {
    pm.variables.set('session', session);
    if (speaksOf('code')) {
      post('/api/launches', session, solution, ({ redirect_url }) => {
        pm.variables.set('code', redirect_url.split('code=')[1]);
      });
    }
    if (speaksOf('token', 'tokenPair', 'tokenId')) {
      post('/api/generate-token', session, solution, (pair) => {
        const claims = pair.access_token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
        pm.variables.set('token', pair.access_token);
        pm.variables.set('tokenPair', JSON.stringify(pair));
        pm.variables.set('tokenId', JSON.parse(atob(claims)).jti);
      });
    }
  });
}
