import type { VendorResponse } from '../vendor-server.ts';
import { type Context, fieldsOf, GRPC, invalid, notFound, ok, pageOf, problem, type Route } from './answer.ts';
import { type Cohort, type Fields, newId, type Project, playUpdate, tick } from './state.ts';

function showCohort(project: Project, cohort: Cohort) {
  const deviceCount = [...project.devices.values()].filter(({ cohortId }) => cohortId === cohort.cohortId).length;
  return { ...cohort, deviceCount };
}

function createCohort({ project, request }: Context) {
  const { name } = fieldsOf(request);
  if (typeof name !== 'string' || name === '') return invalid('name is required');
  if ([...project.cohorts.values()].some((cohort) => cohort.name === name)) return problem(409, GRPC.exists, 'cohort already exists');
  const cohort = { cohortId: newId(), name };
  project.cohorts.set(cohort.cohortId, cohort);
  return ok(showCohort(project, cohort));
}

/** Immutable; the newest one is the cohort's active one, and reaches its devices as they connect. */
function createDeployment({ project, request, ids }: Context) {
  const cohort = project.cohorts.get(ids[0] ?? '');
  if (cohort === undefined) return notFound('cohort');
  const { name, artifactIds } = fieldsOf(request);
  const artifacts = Array.isArray(artifactIds) ? artifactIds.map(String) : [];
  if (typeof name !== 'string' || artifacts.length === 0) return invalid('name and artifactIds are required');
  const missing = artifacts.find((id) => !project.artifacts.has(id));
  if (missing !== undefined) return notFound(`artifact ${missing}`);
  const deployment = { deploymentId: newId(), cohortId: cohort.cohortId, name, artifactIds: artifacts, createdAt: tick(project) };
  project.deployments.set(deployment.deploymentId, deployment);
  cohort.activeDeploymentId = deployment.deploymentId;
  for (const device of project.devices.values()) if (device.cohortId === cohort.cohortId) playUpdate(project, device);
  return ok(deployment);
}

function listDeployments({ project, request, ids }: Context) {
  const found = [...project.deployments.values()].filter(({ cohortId }) => cohortId === ids[0]);
  return pageOf(request, found, (deployment) => deployment);
}

const EVENT_FILTERS = ['deviceId', 'packageId', 'eventType'] as const;
const EVENTS_PER_PAGE = 100;

/** Newest first. The token of a page is the index of its first event. */
function otaEvents({ project, request: { query } }: Context): VendorResponse {
  const found = project.events.filter((event) => EVENT_FILTERS.every((name) => !query.has(name) || query.get(name) === event[name]));
  const newest = found.toReversed();
  const from = Number(query.get('pageToken') ?? 0);
  const limit = Math.min(EVENTS_PER_PAGE, Number(query.get('limit') ?? EVENTS_PER_PAGE));
  const next: Fields = from + limit < newest.length ? { nextPageToken: String(from + limit) } : {};
  return { status: 200, body: { list: newest.slice(from, from + limit), ...next } };
}

/** Below `/organizations/{o}/projects/{p}/`. */
export const ORGANIZATION_ROUTES: readonly Route[] = [
  ['GET', /^cohorts$/, ({ project, request }) => pageOf(request, [...project.cohorts.values()], (cohort) => showCohort(project, cohort))],
  ['POST', /^cohorts$/, createCohort],
  [
    'GET',
    /^cohorts\/([^/]+)$/,
    ({ project, ids }) => {
      const cohort = project.cohorts.get(ids[0] ?? '');
      return cohort === undefined ? notFound('cohort') : ok(showCohort(project, cohort));
    },
  ],
  ['GET', /^cohorts\/([^/]+)\/deployments$/, listDeployments],
  ['POST', /^cohorts\/([^/]+)\/deployments$/, createDeployment],
  ['GET', /^ota-events$/, otaEvents],
];

function createTag({ project, request }: Context) {
  const { name } = fieldsOf(request);
  if (typeof name !== 'string' || name === '') return invalid('name is required');
  if ([...project.tags.values()].some((tag) => tag.name === name)) return problem(409, GRPC.exists, 'tag already exists');
  const tag = { id: newId(), name };
  project.tags.set(tag.id, tag);
  return ok(tag);
}

/** Below `/projects/{p}/`. */
export const PROJECT_ROUTES: readonly Route[] = [
  ['GET', /^tags$/, ({ project, request }) => pageOf(request, [...project.tags.values()], (tag) => tag)],
  ['POST', /^tags$/, createTag],
  ['GET', /^blueprints$/, ({ project, request }) => pageOf(request, [...project.blueprints.values()], (blueprint) => blueprint)],
  ['GET', /^artifacts$/, ({ project, request }) => pageOf(request, [...project.artifacts.values()], (artifact) => artifact)],
];
