// Permissions in words. One that has none here is shown by its own word.
const WORDS: Record<string, string> = {
  'executions.write': 'Send runs',
  'executions.read': 'Read single runs, and search in them',
  query: 'Ask for aggregates and trends',
  export: 'Take rows and answers out as a file',
  live: 'Watch what happens as it happens',
  'quarantine.read': 'See the quarantine',
  'presentation.read': 'See dashboards, views and alerts',
  'metrics.read': 'See the counters of the server',
  'alerts.acknowledge': 'Acknowledge alerts',
  'quarantine.manage': 'Retry and drop what is in quarantine',
  'dashboards.manage': 'Make and change dashboards',
  'views.manage': 'Make and change aggregation views',
  'alert_rules.manage': 'Make and change alert rules',
  'imports.manage': 'Import files, and take imports back',
  'executions.erase': 'Erase a person’s runs',
  'users.read': 'See users and teams',
  'users.manage': 'Invite, change and remove users and teams',
  'keys.manage': 'Make and revoke API keys',
  'sso.manage': 'Connect identity providers',
  'webhooks.manage': 'Make and change webhooks',
  'sync.manage': 'Send runs on to another installation',
  'audit.read': 'Read the audit log',
  'tenant.read': 'See limits, usage, the row policy and the schema version',
  'tenant.manage': 'Change the tenant itself, and end it',
  'platform.tenants': 'Make, enter and remove any tenant',
  'platform.operate': 'Operate the appliance',
  'platform.backups': 'Make and verify backups',
};

export function inWords(permission: string): string {
  return WORDS[permission] ?? permission;
}
