"""Every error the emulator raises on purpose, as one tree.

    EmulatorError
    ├── ConfigurationError          a setting, a file or an argument is not usable
    │   ├── CodeError               the folder that holds a function's code is not usable
    │   └── StateError              the folder of an emulator's state is in use, damaged or of another version
    ├── AddressInUseError           something else listens where the emulator should
    ├── NotRunningError             a command needs a running emulator and none answers
    ├── IllegalTransitionError      an environment was asked for something its state forbids
    ├── SandboxError                a sandbox could not be made, frozen, thawed or ended
    │   ├── EngineError             the container engine refused, failed or did not answer in time
    │   ├── ImageNotFoundError      no image serves the function's runtime
    │   ├── RuntimeNotFoundError    this machine lacks what a process of the function's runtime is made of
    │   ├── LaunchError             what an image is made of cannot be executed on this machine
    │   └── FreezeError             a freezer did not stop or continue an environment
    ├── DeliveryError               a record of an asynchronous event did not get to its destination
    ├── DatabaseError               the database server cannot be started, reached or asked
    ├── ConditionError              a condition that a test or an audit asks for cannot be had here
    ├── LessonError                 a lesson is not there, or did not show what it says
    └── RequestError                a request that AWS answers with an error of its own
        ├── FunctionNotFoundError           404
        ├── InvalidRequestContentError      400
        ├── InvalidParameterValueError      400
        ├── ValidationError                 400
        ├── SerializationError              400: a value is of another type than the API's model says
        ├── UnknownOperationError           404: no operation has such a path
        ├── ProvisionedConfigNotFoundError  404: nothing is initialised ahead for this version or alias
        ├── ResourceConflictError           409: it is there already, or busy
        ├── PreconditionFailedError         412: it has another revision
        ├── PolicyLengthExceededError       400
        ├── CodeStorageExceededError        400
        ├── RequestTooLargeError            413
        ├── UnsupportedMediaTypeError       415
        ├── NotImplementedHereError         501: AWS has the operation, and this emulator does not
        ├── ForbiddenError                  403: a page of another site has asked, or may have
        ├── ThrottledError                  429
        └── ServiceError                    500, 502: the emulator itself could not serve

The message says what happened; ``cure`` says what the reader can do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "AddressInUseError",
    "CodeError",
    "CodeStorageExceededError",
    "ConditionError",
    "ConfigurationError",
    "DatabaseError",
    "DeliveryError",
    "EmulatorError",
    "EngineError",
    "ForbiddenError",
    "FreezeError",
    "FunctionNotFoundError",
    "IllegalTransitionError",
    "ImageNotFoundError",
    "InvalidParameterValueError",
    "InvalidRequestContentError",
    "LaunchError",
    "LessonError",
    "NotImplementedHereError",
    "NotRunningError",
    "PolicyLengthExceededError",
    "PreconditionFailedError",
    "ProvisionedConfigNotFoundError",
    "RequestError",
    "RequestTooLargeError",
    "ResourceConflictError",
    "RuntimeNotFoundError",
    "SandboxError",
    "SerializationError",
    "ServiceError",
    "StateError",
    "ThrottledError",
    "UnknownOperationError",
    "UnsupportedMediaTypeError",
    "ValidationError",
    "one_error",
]


class EmulatorError(Exception):
    """Base of the tree: a message, and the cure where there is one."""

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}\n{self.cure}" if self.cure else self.message


class ConfigurationError(EmulatorError):
    """A setting, a file or an argument is not usable."""


class CodeError(ConfigurationError):
    """The folder that holds a function's code is missing, unreadable or empty of its handler."""


class StateError(ConfigurationError):
    """The folder of an emulator's state is in use, damaged, or of another version; nothing in it was changed."""


class AddressInUseError(EmulatorError):
    """Something else listens where the emulator should."""


class NotRunningError(EmulatorError):
    """A command needs a running emulator and none answers."""


class IllegalTransitionError(EmulatorError):
    """An environment was asked for something that its state forbids; nothing was changed."""

    def __init__(self, state: str, event: str) -> None:
        super().__init__(f"an environment that is {state} cannot take the event {event}")
        self.state = state
        self.event = event


class SandboxError(EmulatorError):
    """A sandbox could not be made, frozen, thawed or ended."""


class EngineError(SandboxError):
    """The container engine refused, failed or did not answer in time."""


class ImageNotFoundError(SandboxError):
    """No image serves the function's runtime."""


class RuntimeNotFoundError(SandboxError):
    """This machine lacks the interpreter, or AWS's client for it, that a process of the runtime is made of."""


class LaunchError(SandboxError):
    """What an image is made of cannot be executed on this machine; the message is what AWS says then."""


class FreezeError(SandboxError):
    """A freezer did not stop or continue an environment."""


class DeliveryError(EmulatorError):
    """A record of an asynchronous event did not get to its destination."""


class DatabaseError(EmulatorError):
    """The database server cannot be started, reached or asked."""


class ConditionError(EmulatorError):
    """A condition that a test or an audit asks for cannot be had here; the message says why."""


class LessonError(EmulatorError):
    """A lesson is not there, or did not show what it says."""


class RequestError(EmulatorError):
    """A request that AWS answers with an error of its own (never a function's error, which is a 200).

    ``status`` is the HTTP status, ``code`` the error type in ``x-amzn-ErrorType``; ``body`` is the JSON
    object in AWS's own, inconsistent spelling of its members (recorded, see docs/fidelity.md).
    """

    status = 400
    code = "InvalidParameterValueException"
    message_member = "message"

    def body(self) -> dict[str, str]:
        return {"Type": "User", self.message_member: self.message}


class FunctionNotFoundError(RequestError):
    """No function of that name is deployed here."""

    status = 404
    code = "ResourceNotFoundException"
    message_member = "Message"


class InvalidRequestContentError(RequestError):
    """The payload is not JSON."""

    code = "InvalidRequestContentException"


class InvalidParameterValueError(RequestError):
    """A parameter has a value that the operation does not take."""


class ValidationError(RequestError):
    """A parameter does not have the form that the API model asks for."""

    code = "ValidationException"

    def body(self) -> dict[str, str]:
        return {"message": self.message}


class SerializationError(RequestError):
    """A value in a request is of another type than the API's model says."""

    code = "SerializationException"

    def body(self) -> dict[str, str]:
        return {"Message": self.message}  # [X] nothing else


class UnknownOperationError(RequestError):
    """No operation has such a method and path."""

    status = 404
    code = "UnknownOperationException"

    def body(self) -> dict[str, str]:
        return {"message": self.message}


class UnsupportedMediaTypeError(RequestError):
    """The body of the request is said to be something else than JSON."""

    status = 415
    code = "UnsupportedMediaTypeException"


class NotImplementedHereError(RequestError):
    """AWS has this operation, and this emulator does not."""

    status = 501
    code = "NotImplementedException"
    message_member = "Message"


class ProvisionedConfigNotFoundError(RequestError):
    """Nothing is initialised ahead for this version or alias."""

    status = 404
    code = "ProvisionedConcurrencyConfigNotFoundException"


class ResourceConflictError(RequestError):
    """It is there already, or something else is done with it at this moment."""

    status = 409
    code = "ResourceConflictException"


class PreconditionFailedError(RequestError):
    """It has another revision than the request takes it to have."""

    status = 412
    code = "PreconditionFailedException"


class PolicyLengthExceededError(RequestError):
    """A policy would be larger than 20 KB."""

    code = "PolicyLengthExceededException"


class CodeStorageExceededError(RequestError):
    """The code of all functions and layers would be more than the account may have."""

    code = "CodeStorageExceededException"


class RequestTooLargeError(RequestError):
    """The payload is larger than Lambda takes."""

    status = 413
    code = "RequestEntityTooLargeException"
    message_member = "Message"


class ForbiddenError(RequestError):
    """A page of another site has sent the request, or may have."""

    status = 403
    code = "AccessDeniedException"
    message_member = "Message"


class ThrottledError(RequestError):
    """No environment may be started for this request: the concurrency limit is reached."""

    status = 429
    code = "TooManyRequestsException"

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason

    def body(self) -> dict[str, str]:
        return {"Reason": self.reason, "Type": "User", "message": self.message}


class ServiceError(RequestError):
    """The emulator could not serve: no sandbox, no image, or it is stopping."""

    status = 502
    code = "ServiceException"
    message_member = "Message"

    def body(self) -> dict[str, str]:
        return {"Type": "Service", "Message": str(self)}


@contextmanager
def one_error() -> Iterator[None]:
    """Let an error of ours that leaves a task group alone leave it as itself, for who shows it to people."""
    try:
        yield
    except BaseExceptionGroup as group:
        inner: BaseException = group
        while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
            inner = inner.exceptions[0]
        if isinstance(inner, EmulatorError):
            raise inner from inner.__cause__
        raise
