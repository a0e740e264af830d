export { GET } from '../user/route.js';
export const runtime = 'edge';
export const dynamic = 'force-dynamic';
