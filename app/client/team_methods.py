"""Calls about a team's own programs, as methods of both clients."""

from app.client import program_calls, workspace_calls
from app.client.answers import File, PipelineRun, ProgramRun, TrainingMessage, Workspace
from app.client.methods import AsyncIterated, Awaited, Iterated, Sent


class TeamMethods:
    """Of the client that waits."""

    create_workspace = Sent(workspace_calls.create_workspace)
    workspaces = Sent(workspace_calls.workspaces)
    workspace = Sent(workspace_calls.workspace)
    delete_workspace = Sent(workspace_calls.delete_workspace)
    files = Sent(workspace_calls.files)
    put_file = Sent(workspace_calls.put_file)
    get_file = Sent(workspace_calls.get_file)
    delete_file = Sent(workspace_calls.delete_file)
    upload_archive = Sent(workspace_calls.upload_archive)
    download_archive = Sent(workspace_calls.download_archive)
    snapshot = Sent(workspace_calls.snapshot)
    download_snapshot = Sent(workspace_calls.download_snapshot)
    run_program = Sent(program_calls.run_program)
    send_program = Sent(program_calls.send_program)
    messages = Sent(program_calls.messages)
    program_runs = Sent(program_calls.program_runs)
    program_run = Sent(program_calls.program_run)
    cancel_program_run = Sent(program_calls.cancel_program_run)
    program_result = Sent(program_calls.program_result)
    program_output = Sent(program_calls.program_output)
    train = Sent(program_calls.train)
    poll_log = Sent(program_calls.poll_log)
    run_pipeline = Sent(program_calls.run_pipeline)
    train_digits = Sent(program_calls.train_digits)
    pipeline_runs = Sent(program_calls.pipeline_runs)
    pipeline_run = Sent(program_calls.pipeline_run)
    cancel_pipeline_run = Sent(program_calls.cancel_pipeline_run)
    pipeline_result = Sent(program_calls.pipeline_result)

    iterate_workspaces = Iterated(workspace_calls.workspaces, Workspace)
    iterate_files = Iterated(workspace_calls.files, File)
    iterate_messages = Iterated(program_calls.messages, TrainingMessage)
    iterate_program_runs = Iterated(program_calls.program_runs, ProgramRun)
    iterate_pipeline_runs = Iterated(program_calls.pipeline_runs, PipelineRun)


class AsyncTeamMethods:
    """Of the client for asyncio."""

    create_workspace = Awaited(workspace_calls.create_workspace)
    workspaces = Awaited(workspace_calls.workspaces)
    workspace = Awaited(workspace_calls.workspace)
    delete_workspace = Awaited(workspace_calls.delete_workspace)
    files = Awaited(workspace_calls.files)
    put_file = Awaited(workspace_calls.put_file)
    get_file = Awaited(workspace_calls.get_file)
    delete_file = Awaited(workspace_calls.delete_file)
    upload_archive = Awaited(workspace_calls.upload_archive)
    download_archive = Awaited(workspace_calls.download_archive)
    snapshot = Awaited(workspace_calls.snapshot)
    download_snapshot = Awaited(workspace_calls.download_snapshot)
    run_program = Awaited(program_calls.run_program)
    send_program = Awaited(program_calls.send_program)
    messages = Awaited(program_calls.messages)
    program_runs = Awaited(program_calls.program_runs)
    program_run = Awaited(program_calls.program_run)
    cancel_program_run = Awaited(program_calls.cancel_program_run)
    program_result = Awaited(program_calls.program_result)
    program_output = Awaited(program_calls.program_output)
    train = Awaited(program_calls.train)
    poll_log = Awaited(program_calls.poll_log)
    run_pipeline = Awaited(program_calls.run_pipeline)
    train_digits = Awaited(program_calls.train_digits)
    pipeline_runs = Awaited(program_calls.pipeline_runs)
    pipeline_run = Awaited(program_calls.pipeline_run)
    cancel_pipeline_run = Awaited(program_calls.cancel_pipeline_run)
    pipeline_result = Awaited(program_calls.pipeline_result)

    iterate_workspaces = AsyncIterated(workspace_calls.workspaces, Workspace)
    iterate_files = AsyncIterated(workspace_calls.files, File)
    iterate_messages = AsyncIterated(program_calls.messages, TrainingMessage)
    iterate_program_runs = AsyncIterated(program_calls.program_runs, ProgramRun)
    iterate_pipeline_runs = AsyncIterated(program_calls.pipeline_runs, PipelineRun)
