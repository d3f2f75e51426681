/** The panel's names for the shapes of the admin API, which `npm run api` makes of docs/openapi.yaml. */

import type { Checked, Config, Conversations, Error, Errors, Notifications, Rules, Running, Tried, Versions, Wrong } from './openapi.ts';

export { bodyOutcomeValues as BODY_OUTCOMES, causeValues as CAUSES, conditionCodeValues as CONDITION_CODES, conditionTestCodeValues as TEST_CODES, deliveryCodeValues as DELIVERY_CODES, faultCodeValues as FAULT_CODES,
  faultParametersFaultOneOf1Values as TLS_FAULTS, keyReasonValues as KEY_REASONS, limitWindowValues as LIMIT_WINDOWS, measureValues as MEASURES, outcomeValues as OUTCOMES, reasonValues as REASONS, upstreamKeyStateValues as KEY_STATES, wasteCauseValues as WASTE_CAUSES } from './openapi.ts';
export type {
  AuditedChange, By as GroupBy, CaptureWish, Cause, Checked as ConfigCheck, Audit, ClientToken, IssuedToken, Limit, LimitUsage, LimitWindow, Me, Measure, NewLimit, NewToken, NewUser, SubjectKind, TeamGroup, TeamUser, TokenChange, UserChange, Condition, Config, Conversation, Conversations, Detail as RequestDetail, Errors as ErrorGroups, Explanation, FailedUpstream, Fault, FaultCode,
  Finding, Group, Groups, Health, KeyBalance, KeyNames, LastRecost, LastTest, Line, Notifications, NotificationTest, Outcome, Page as RequestPage, Percentiles as Spread, Point as SeriesPoint, Problem as ConfigProblem, Listed as RequestRow,
  Rules, Running, Second as SecondOfTraffic, Series, Session, Stats, Tokens, Total as SessionGroup, Tried as UpstreamTest, TriedMessage, TwoTexts, Upstream, Wasted, WasteReport,
  UpstreamKey, Upstreams, Versions as ConfigHistory,
} from './openapi.ts';

/** A session as the list of sessions has it. */
export type SessionSummary = Conversations['sessions'][number];
export type ErrorGroup = Errors['groups'][number];
export type RunningRequest = Running['running'][number];
export type Phase = RunningRequest['phase'];

/** One way to an upstream: directly, or through the outbound proxy. */
export type TestWay = Tried['ways'][number];
export type TestStep = TestWay['steps'][number];

export type NotifyTarget = Notifications['targets'][number];

export type Rule = Rules['upstreams'][number]['rules'][number];
export type RuleSource = Rule['source'];

export type Setting = Config['settings'][number];
export type SettingSource = Setting['source'];
export type ConfigChange = Checked['changes'][number];
export type ConfigVersion = Versions['versions'][number];
export type ConfigDraft = Pick<ConfigVersion, 'overlay' | 'headers'>;

export type ErrorAnswer = Error & Partial<Pick<Wrong, 'problems'>>;
