"""Have a team's Prefect server notice that a flow run's host is gone, which the run can no longer say."""

from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

NAME = "flow runs whose host is gone"
TAG = "watched"  # of deployments in prefect.yaml that have Prefect give a sign of life every 30 s
SILENCE = timedelta(seconds=90)


def automation(silence: timedelta = SILENCE) -> AutomationCore:
    """Crashed is what becomes of a watched run of which nothing was heard for so long.

    A stage for a pool is not watched: whoever waits for it is, and does not give it up while the server is away.
    """
    return AutomationCore(
        name=NAME,
        description="Written by `make deploy`",
        trigger=EventTrigger(
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={"prefect.resource.id": f"prefect.tag.{TAG}"},
            for_each={"prefect.resource.id"},
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},  # its end too, whatever the state is called
            posture=Posture.Proactive,
            threshold=1,
            within=silence,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message=f"nothing was heard of its host for {silence.total_seconds():.0f} s"
            )
        ],
    )


def watch(client: SyncPrefectClient) -> None:
    """Write it to the server, in place of what was there."""
    for found in client.read_automations_by_name(NAME):
        client.update_automation(found.id, automation())
        return
    client.create_automation(automation())
