// What a machine may do in its mesh. It never says who has which role: the roster does.

/** worker: runs tasks of others. submitter: has tasks run by others. admin: invites and revokes. */
export const ROLES = ["worker", "submitter", "admin"] as const;

export type Role = (typeof ROLES)[number];

/** Whether text names a role. */
export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
