// Row policies in words, and those that have a name.
import { type Counted, POLICY_ROLES, type PolicyRole, type RoleSight, type RowRules, type Sight } from '../api/policy.ts';

const sees = (rows: Sight, aggregates: Counted): RoleSight => ({ rows, aggregates });
const everything = sees('all', 'all');

interface Preset {
  name: string;
  says: string;
  rules: RowRules;
}

export const PRESETS: readonly Preset[] = [
  {
    name: 'Open',
    says: 'everybody sees everything',
    rules: { viewer: everything, member: everything, manager: everything },
  },
  {
    name: 'Strict',
    says: 'everybody sees what concerns them',
    rules: { viewer: sees('none', 'all'), member: sees('own', 'all'), manager: sees('teams', 'same') },
  },
];

export const PLURALS: Record<PolicyRole, string> = { viewer: 'Viewers', member: 'Members', manager: 'Managers' };

export const SIGHT_WORDS: Record<Sight, string> = {
  all: 'every row',
  teams: 'own, and of their teams',
  own: 'their own',
  none: 'none',
};

export const COUNTED_WORDS: Record<Counted, string> = { all: 'everything', same: 'the rows they see' };

const SEEN: Record<Sight, string> = {
  all: 'every row',
  teams: 'their own rows and those of their teams',
  own: 'their own rows',
  none: 'no rows',
};

/** `Members see their own rows; aggregates over everything.` */
export function sentenceOf(role: PolicyRole, { rows, aggregates }: RoleSight): string {
  const same = rows === 'none' ? 'nothing' : 'the same rows';
  const over = aggregates === 'all' || rows === 'all' ? 'everything' : same;
  return `${PLURALS[role]} see ${SEEN[rows]}; aggregates over ${over}.`;
}

const isSame = (one: RoleSight, other: RoleSight) => one.rows === other.rows && one.aggregates === other.aggregates;

/** The preset that says just this. */
export function presetOf(rules: RowRules): Preset | undefined {
  return PRESETS.find((preset) => POLICY_ROLES.every((role) => isSame(preset.rules[role], rules[role])));
}

/** A copy of what each role sees, and of nothing else: to be changed and sent. */
export function copyOf({ viewer, member, manager }: RowRules): RowRules {
  return { viewer: { ...viewer }, member: { ...member }, manager: { ...manager } };
}
