/** Words of pages that no first visit needs. */

import type { MoreMessages } from '..';

import audit from './audit';
import connect from './connect';
import limits from './limits';
import mine from './mine';
import notify from './notify';
import ruleForm from './rule_form';
import team from './team';
import token from './token';
import upstreamForm from './upstream_form';

const messages: MoreMessages = {
  ...upstreamForm,
  ...notify,
  ...team,
  ...audit,
  ...limits,
  ...token,
  ...mine,
  ...ruleForm,
  ...connect,
};

export default messages;
