import { searchOf } from '../../app/search.ts';

export const OverviewSearch = searchOf({});
