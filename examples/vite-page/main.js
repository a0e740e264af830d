// A solution's page: it has its user's token and no secret. Here the token comes with the address, as do the marketplace
// and the solution; a real page is handed it by its backend, or gets it for a launch code (`exchangeCode`).
import { MarketplaceSDK, isMarketplaceError } from '@cloudnestle/marketplace-sdk';
import '@cloudnestle/marketplace-sdk/prose'; // errors are shown with what to do about them

const { url, solution, token } = Object.fromEntries(new URLSearchParams(location.search));
const show = (id, text) => (document.getElementById(id).textContent = text);

const sdk = new MarketplaceSDK({ url, solution });

async function begin() {
  const user = await sdk.validateUser(token);
  show('user', `${user.customerId}, ${user.tier}`);
  const button = document.getElementById('view');
  button.disabled = false;
  button.addEventListener('click', view);
}

async function view() {
  const receipt = await sdk.trackUsage(token, 'view'); // an action that the solution lets pages report
  await receipt.delivered;
  const { quotas } = await sdk.getUserContext(token);
  show(
    'quotas',
    quotas.map(({ action, used, limit }) => `${action}: ${used} of ${limit}`).join(', '),
  );
}

begin().catch((error) => show('user', isMarketplaceError(error) ? error.advice : String(error)));
