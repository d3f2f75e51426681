/** The URL that clients are to be given. */

interface Place {
  origin: string;
  hostname: string;
  port: string;
}

function portOf(address: string): string | null {
  return /:(\d+)$/.exec(address)?.[1] ?? null;
}

/**
 * The panel is served by the gateway's port, where its own origin is right (a reverse proxy's name and TLS included),
 * and by the admin service, where the port must be another.
 */
export function gatewayUrl(place: Place, listen: string | null, adminListen: string | null): string {
  const port = listen === null ? null : portOf(listen);
  const isAdminService = adminListen !== null && place.port !== '' && place.port === portOf(adminListen);
  return port !== null && isAdminService ? `http://${place.hostname}:${port}` : place.origin;
}
